"""Our own bank details change by two people: one proposes, another one checks with the bank and confirms.

Invoices that are issued keep the details of their day. All finance staff and the issuer's address are told of each
step, so that a change that nobody meant is seen before its first day.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime

from django.db import transaction
from django.utils.translation import gettext as _
from psycopg.types.range import DateRange

from consortium.kernel import audit
from consortium.kernel.audit import Fact, System
from consortium.kernel.dated import since
from consortium.kernel.errors import Invalid, PortalError
from consortium.kernel.money import exponent
from consortium.kernel.periods import local_date
from consortium.kernel.spoken import spoken_day
from members.models import BankDetails, BankDetailsChange, Issuer, User
from members.permissions import Permission, check_staff
from members.states_banking import BANK_CHANGE

MAIL = "members.mail_bank_details"


class TwoPeople(PortalError):
    """Who proposed a change cannot confirm it."""

    code = "two_people"


class BankDetailsHeld(PortalError):
    """The issuer has bank details already, or a change of them waits."""

    code = "bank_details_held"


@dataclass(frozen=True, slots=True, kw_only=True)
class BankPlace:
    """Where transfers go: the bank, whose account it is, its number, and the transit, institution or SWIFT code."""

    bank: str
    holder: str
    account_number: str
    routing: str


@transaction.atomic
def found_bank_details(
    issuer: Issuer, places: Mapping[str, BankPlace], *, first: date, by: System, at: datetime
) -> list[BankDetails]:
    """Write the first bank details of an issuer, by currency, from `first` on; only set-up programs do so.

    Raises BankDetailsHeld when the issuer has some: from then on two people change them. PostgreSQL refuses it too.
    """
    if BankDetails.objects.filter(issuer=issuer).exists():
        raise BankDetailsHeld(_("The issuer has bank details. Two people change them."))
    rows = BankDetails.objects.bulk_create(
        BankDetails(issuer=issuer, currency=currency, valid=since(first), **asdict(place))
        for currency, place in places.items()
    )
    for row in rows:
        after: dict[str, Fact] = {"currency": row.currency, "from": first.isoformat()}
        audit.record("members.bank_details_founded", row, by=by, at=at, institution_id=None, after=after)
    return rows


@transaction.atomic
def propose_bank_details(
    issuer: Issuer, place: BankPlace, *, currency: str, effective_on: date, reason: str, by: User, at: datetime
) -> BankDetailsChange:
    """Put other bank details for one currency before a second person; nothing changes yet, all of finance is told.

    `effective_on` is the first day, in the issuer's zone: today or later, and after the day on which those begin that
    hold or will hold. Raises Forbidden, Invalid, BankDetailsHeld while another change of the currency waits.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    issuer = Issuer.objects.select_for_update().get(pk=issuer.pk)
    exponent(currency)  # refuses one that does not exist
    values = {name: " ".join(value.split()) for name, value in asdict(place).items()}
    for name, value in values.items():
        if not value:
            raise Invalid(_("Fill this in: members transfer money by it."), field=name)
    if not reason.strip():
        raise Invalid(_("Say why, and how you checked the account with the bank."), field="reason")
    if BankDetailsChange.objects.filter(issuer=issuer, currency=currency, status="waiting").exists():
        raise BankDetailsHeld(_("A change of these details waits for a second person. Withdraw it first."))
    _check_day(issuer, currency, effective_on, at=at)
    change = BankDetailsChange.objects.create(
        issuer=issuer,
        currency=currency,
        effective_on=effective_on,
        reason=reason.strip()[:500],
        proposed_by=by,
        proposed_at=at,
        **values,
    )
    _record("proposed", change, by=by, at=at)
    return change


@transaction.atomic
def confirm_bank_details(change: BankDetailsChange, *, by: User, at: datetime) -> BankDetails:
    """Let proposed bank details hold from their day on; those before them end there. Confirmed before, they return.

    Raises Forbidden, TwoPeople for who proposed them, TransitionRefused for a change that was withdrawn, Invalid when
    its first day has passed.
    """
    check_staff(by, Permission.ISSUE_INVOICES)
    issuer, change = _locked(change)
    if change.status == "confirmed":
        return BankDetails.objects.get(change=change)
    if change.proposed_by_id == by.pk:
        raise TwoPeople(_("Bank details are confirmed by another person than the one who proposed them."))
    if change.status == "waiting":
        _check_day(issuer, change.currency, change.effective_on, at=at)
    BANK_CHANGE.move(change, "confirmed", decided_by=by, decided_at=at)
    before = BankDetails.objects.filter(issuer=issuer, currency=change.currency, valid__upper_inf=True).first()
    if before is not None:
        BankDetails.objects.filter(pk=before.pk).update(valid=DateRange(before.valid.lower, change.effective_on))
    details = BankDetails.objects.create(
        issuer=issuer,
        currency=change.currency,
        bank=change.bank,
        holder=change.holder,
        account_number=change.account_number,
        routing=change.routing,
        valid=since(change.effective_on),
        change=change,
    )
    _record("confirmed", change, by=by, at=at)
    return details


@transaction.atomic
def withdraw_bank_details(change: BankDetailsChange, *, by: User, at: datetime) -> BankDetailsChange:
    """Give a change up; the details stay as they are. Raises Forbidden, TransitionRefused."""
    check_staff(by, Permission.ISSUE_INVOICES)
    _issuer, change = _locked(change)
    BANK_CHANGE.move(change, "withdrawn", decided_by=by, decided_at=at)
    _record("withdrawn", change, by=by, at=at)
    return change


def details_before(change: BankDetailsChange) -> BankDetails | None:
    """Return the details that a change ends, or None where the currency has none."""
    rows = BankDetails.objects.filter(issuer=change.issuer_id, currency=change.currency).exclude(change=change.pk)
    return rows.filter(valid__startswith__lt=change.effective_on).order_by("-valid").first()


def _check_day(issuer: Issuer, currency: str, day: date, *, at: datetime) -> None:
    if day < local_date(at, issuer.zone):
        raise Invalid(_("The first day has passed. Choose today or a later day."), field="effective_on")
    last = BankDetails.objects.filter(issuer=issuer, currency=currency).order_by("-valid").first()
    if last is not None and last.valid.lower >= day:
        raise Invalid(
            _("Other details begin on %(day)s already. Choose a later day.") % {"day": spoken_day(last.valid.lower)},
            field="effective_on",
        )


def _locked(change: BankDetailsChange) -> tuple[Issuer, BankDetailsChange]:
    """Issuer and change as they are now, locked until commit, in this order everywhere."""
    issuer = Issuer.objects.select_for_update().get(pk=change.issuer_id)
    return issuer, BankDetailsChange.objects.select_for_update().get(pk=change.pk)


def _record(what: str, change: BankDetailsChange, *, by: User, at: datetime) -> None:
    after: dict[str, Fact] = {
        "issuer": str(change.issuer_id),
        "currency": change.currency,
        "from": change.effective_on.isoformat(),
        "account": audit.digest(change.account_number),
    }
    audit.record(
        f"members.bank_details_{what}", change, by=by, at=at, institution_id=None, after=after, deliver_to=(MAIL,)
    )
