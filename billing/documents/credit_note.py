"""What stands on a credit note, as text in the active language: the invoice's page, and what it takes back from."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from billing.documents import words
from billing.documents.invoice import Fact, InvoicePage, invoice_page
from billing.models import CreditNote
from billing.snapshot import InvoiceSnapshot


@dataclass(frozen=True, kw_only=True)
class CreditNotePage:
    """All of a credit note, as text; `page` has its parties, lines and taxes."""

    page: InvoicePage
    reason: str
    facts: tuple[Fact, ...]
    effects: tuple[Fact, ...]

    @property
    def language(self) -> str:
        """The language of its words."""
        return self.page.language


def credit_note_page(note: CreditNote) -> CreditNotePage:
    """Will write out a credit note from what was frozen with it, in the active language."""
    snapshot = InvoiceSnapshot.from_json(note.snapshot)
    effects = [Fact(label=_("Taken off what is due"), value=words.money(note.applied, note.currency))]
    if note.held:
        effects.append(Fact(label=_("Kept as your credit"), value=words.money(note.held, note.currency)))
    return CreditNotePage(
        page=invoice_page(snapshot),
        reason=note.reason,
        facts=(
            Fact(label=_("Date"), value=words.day(note.issued_on)),
            Fact(label=_("Invoice"), value=note.invoice.number or ""),
            Fact(label=_("Service month"), value=words.month(snapshot.month)),
            Fact(label=_("Purchase order"), value=snapshot.po_number or _("none")),
        ),
        effects=tuple(effects),
    )
