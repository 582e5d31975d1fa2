"""Tokens of programs: issued once, stored hashed, bound to one institution and to listed permissions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from consortium.kernel import audit
from consortium.kernel.clock import now
from consortium.kernel.errors import Invalid
from consortium.kernel.secrets import new_token, token_hash
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import ApiToken, Institution, User
from members.permissions import Permission, check_at, permissions_at

PREFIX = "icc_"


@dataclass(frozen=True)
class Program:
    """Who calls the API: a token of one institution. Stands where Django expects a user."""

    token_id: UUID
    institution_id: UUID
    permissions: frozenset[Permission]
    is_authenticated: bool = True
    is_active: bool = True

    @property
    def pk(self) -> UUID:
        """The token's key: what the audit trail names."""
        return self.token_id


@transaction.atomic
def issue_token(
    *,
    institution: Institution,
    name: str,
    permissions: Iterable[Permission],
    expires_at: datetime,
    by: User,
    at: datetime,
) -> tuple[ApiToken, str]:
    """Make a token and return it with its secret, which nobody can read again.

    A token never gets more than its maker has. Raises Forbidden and Invalid.
    """
    check_at(by, Permission.MANAGE_TOKENS, institution.pk)
    wanted = frozenset(permissions)
    if not wanted or not wanted <= permissions_at(by, institution.pk):
        raise Invalid(
            "A token needs at least one permission, and only ones that you have yourself.", field="permissions"
        )
    if expires_at <= at:
        raise Invalid("A token must end in the future.", field="expires_at")
    secret = PREFIX + new_token()
    token = ApiToken.objects.create(
        institution=institution,
        name=name,
        token_hash=token_hash(secret),
        permissions=sorted(wanted),
        created_by=by,
        created_at=at,
        expires_at=expires_at,
    )
    audit.record("members.token_issued", token, by=by, at=at, institution_id=institution.pk)
    return token, secret


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User, at: datetime) -> None:
    """End a token now."""
    check_at(by, Permission.MANAGE_TOKENS, token.institution_id)
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=at):
        audit.record("members.token_revoked", token, by=by, at=at, institution_id=token.institution_id)


class TokenAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer icc_…`."""

    def authenticate(self, request: Request) -> tuple[Program, ApiToken] | None:
        """Return the program behind the token; None without a header; AuthenticationFailed for a bad one."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"bearer":
            return None
        if len(words) != 2:
            raise AuthenticationFailed("Send the header as: Authorization: Bearer <token>.")
        secret = words[1].decode("latin-1")
        at = now()
        with consortium_scope(Scope.SIGN_IN):
            tokens = ApiToken.objects.filter(token_hash=token_hash(secret), revoked_at=None, expires_at__gt=at)
            token = tokens.select_related("created_by").first()
            # A token never outlives the rights of whoever made it.
            held = permissions_at(token.created_by, token.institution_id) if token else frozenset()
            if token is None or not held:
                raise AuthenticationFailed("The token is unknown, revoked or expired. Make a new one in the portal.")
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=at)
        allowed = frozenset(Permission(word) for word in token.permissions) & held
        return Program(token.pk, token.institution_id, allowed), token

    def authenticate_header(self, request: Request) -> Any:  # noqa: ARG002 - DRF's signature
        """Make DRF answer 401, not 403."""
        return 'Bearer realm="portal"'
