"""The check of the books: what must always hold is computed anew each night, and what does not waits for a person."""

from datetime import datetime

from billing.clearing_check import clearing_faults
from billing.ledger import credit_checks, is_balanced, payments_checks, receivables
from billing.models import BooksCheck
from consortium.kernel.money import plain
from members.models import Issuer


def check_books(*, at: datetime) -> BooksCheck:
    """Check every issuer's books and keep the result; its `faults` are sentences, none when all holds.

    Entries balance in each currency and have all their legs; receivables equal the open invoices; every payment is in
    the books in full; the books hold for each member what its credit ledger says, and no less than nothing; what is at
    the provider and on its way from there is what the provider says. Needs a consortium scope.
    """
    return BooksCheck.objects.create(at=at, faults=[fault for issuer in Issuer.objects.all() for fault in _of(issuer)])


def open_faults() -> int:
    """Return how many faults the newest check found."""
    newest = BooksCheck.objects.order_by("-at").first()
    return len(newest.faults) if newest else 0


def _of(issuer: Issuer) -> list[str]:
    faults = [] if is_balanced(issuer) else [f"The ledger of {issuer} does not balance."]
    faults += [
        f"Receivables of {issuer} are {plain(check.ledger)} {check.currency}, its open invoices "
        f"{plain(check.invoices)}: an entry lacks its invoice, or an invoice its entry."
        for check in receivables(issuer)
        if not check.agrees
    ]
    faults += [
        f"The books of {issuer} say that payments brought {plain(check.ledger)} {check.currency}, the payments say "
        f"{plain(check.payments)}: an entry lacks its payment, or a payment its entry."
        for check in payments_checks(issuer)
        if not check.agrees
    ]
    faults += [
        f"{issuer} holds {plain(check.ledger)} {check.currency} of credit for {check.member} in its books, and "
        f"{plain(check.held)} {check.currency} in its credit ledger: an entry lacks its credit, or more was used than "
        "came in."
        for check in credit_checks(issuer)
        if not check.agrees
    ]
    return faults + clearing_faults(issuer)
