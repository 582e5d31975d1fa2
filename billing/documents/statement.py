"""A statement of account as a PDF, in the language that is active."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from billing.documents import words
from billing.documents.vendor_pack import SHEET, IssuerName
from billing.queries import Ageing
from billing.statement_of_account import Statement
from consortium.kernel.pdf import write_pdf


@dataclass(frozen=True, kw_only=True)
class StatementPage:
    """All of a statement, as text but for its rows."""

    language: str
    number: str
    created: datetime
    issuer: IssuerName
    institution: str
    span: str
    statements: Sequence[Statement]
    ageing: Sequence[Ageing]


def statement_pdf(
    statements: Sequence[Statement],
    *,
    issuer: str,
    institution: str,
    ageing: Sequence[Ageing],
    at: datetime,
) -> bytes:
    """Will write the statements of one institution; all are over the same days."""
    span = ""
    if statements:
        days = {"first": words.day(statements[0].first_day), "last": words.day(statements[0].last_day)}
        span = _("%(first)s to %(last)s") % days
    page = StatementPage(
        language=words.language(),
        number=institution,
        created=at,
        issuer=IssuerName(name=issuer),
        institution=institution,
        span=span,
        statements=statements,
        ageing=ageing,
    )
    return write_pdf(render_to_string("documents/statement.html", {"page": page, "demo": settings.DEMO}), sheet=SHEET)
