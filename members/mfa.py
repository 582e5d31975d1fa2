"""Whether a second factor stands behind a session: the portal's own, or one that the identity provider asked for."""

from typing import Any, Final

from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from members.models import User

FROM_SIGN_ON: Final = "sign_on_mfa"


def note_sign_on_factor(request: HttpRequest, *, present: bool) -> None:
    """Remember with the session whether its sign-in came with REFEDS MFA; call it at every sign-in."""
    request.session[FROM_SIGN_ON] = present


def second_factor_present(request: Any) -> bool:
    """Whether the person has a second factor here, or signed on with one in this session."""
    user = request.user
    if not isinstance(user, User):
        return False
    if request.session.get(FROM_SIGN_ON):
        return True
    return bool(Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists())
