"""Whose rows a transaction may see: one institution's, or a named scope's.

PostgreSQL's row-level security enforces it; code still filters. Outside both, a tenant table is empty.
Settings are made with SET LOCAL, so they end with the transaction and never leak through a pooled connection.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.db import connection, transaction


class Scope(StrEnum):
    """Why code may look across institutions. Audit events written inside carry the name."""

    PUBLIC = "public"  # the map, the status page, signature checks: what anyone may know
    SIGN_IN = "sign_in"  # which seats and tokens a person or program has
    APPLICANT = "applicant"  # an application, before there is a seat
    PAY_LINK = "pay_link"  # one invoice, by its secret link
    SIGN_LINK = "sign_link"  # one agreement, by a delegate's secret link
    STAFF = "staff"  # consortium staff in the admin site
    JOB = "job"  # background work on behalf of the consortium
    WEBHOOK = "webhook"  # a payment provider's message
    COMMAND = "command"  # a person at the server's command line


# One trip to the server: what stood there, read first, and what stands there now; NULL leaves the institution as it is.
_EXCHANGE: Final = """
    WITH before AS MATERIALIZED (
        SELECT coalesce(current_setting('portal.scope', true), '') AS scope,
               coalesce(current_setting('portal.institution', true), '') AS institution
    )
    SELECT scope, institution,
           set_config('portal.scope', %s, true), set_config('portal.institution', coalesce(%s, institution), true)
    FROM before
"""


def _set(scope: str, institution: str | None = None) -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(_EXCHANGE, [scope, institution])
        before = cursor.fetchone()
        return str(before[0]), str(before[1])


@contextmanager
def _setting(scope: str, institution: str | None = None) -> Iterator[None]:
    with transaction.atomic():
        before = _set(scope, institution)
        yield
        # After an error the transaction or savepoint rolls the setting back by itself.
        if not connection.needs_rollback:
            _set(before[0], None if institution is None else before[1])


@contextmanager
def institution_scope(institution_id: UUID) -> Iterator[None]:
    """See and write the rows of one institution, in one transaction."""
    with _setting("", str(institution_id)):
        yield


@contextmanager
def consortium_scope(scope: Scope) -> Iterator[None]:
    """See the rows of every institution, in one transaction, for the reason `scope` names."""
    with _setting(scope.value):
        yield


def enter_institution(institution_id: UUID) -> None:
    """Narrow the open transaction to one institution until its end (for edges that cannot nest a block)."""
    _set("", str(institution_id))


def enter_scope(scope: Scope) -> None:
    """Widen the open transaction to a named scope until its end."""
    _set(scope.value)


def current_scope() -> str:
    """The name of the scope that is open now, or the empty string."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(current_setting('portal.scope', true), '')")
        return str(cursor.fetchone()[0])
