"""What the demonstration shows around invoices: a purchase order, a credit note, an event on the next invoice.

Each is looked for first, so that a second run doubles nothing.
"""

from datetime import timedelta
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from billing.crediting import issue_credit_note
from billing.member_charges import Charge, record_charge
from billing.models import BillingAccount, CreditNote, Invoice, MemberCharge, PurchaseOrder
from billing.purchase_orders import OrderLine, record_order
from consortium.kernel.clock import now
from consortium.kernel.periods import Month, local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.bank import tell_bank
from consortium.management.demo.chasing import tell_chasing
from consortium.management.demo.collecting import tell_collecting
from members.models import Institution, Issuer, StaffSeat, User
from members.roles import StaffRole

ORDERED_BY, CREDITED, HOST_OF_EVENT = "mcgill", "dal", "ubc"
APPROVER = "approver@demo.example"


def second_approver() -> User:
    """A second person of the consortium's finance staff: large invoices need two. Nobody signs in as it."""
    user = User.objects.filter(email=APPROVER).first()
    if user is None:
        user = User.objects.create_user(APPROVER, name="Amara Osei", language="en", is_staff=True)
    StaffSeat.objects.get_or_create(user=user, role=StaffRole.FINANCE, ended_at=None)
    return user


def tell_invoicing(*, issuer: Issuer, staff: User, month: Month) -> None:
    """Record what is missing of it, and of what became of the invoices; `month` is the first one still open."""
    with consortium_scope(Scope.COMMAND):
        _order(issuer, staff)
        _credit(staff)
        _event(issuer, staff, month)
    tell_collecting(staff=staff, at=now())
    tell_chasing(issuer=issuer, staff=staff, colleague=second_approver(), at=now())
    tell_bank(issuer=issuer, staff=staff)


def _order(issuer: Issuer, staff: User) -> None:
    account = BillingAccount.objects.filter(institution__slug=ORDERED_BY, issuer=issuer).first()
    if account is None or PurchaseOrder.objects.filter(billing_account=account).exists():
        return
    at = now()
    today = local_date(at, issuer.zone)
    record_order(
        account,
        number="4500-118-203",
        lines=[
            OrderLine(description="Cotisation et hubs", amount=Decimal("42000.00")),
            OrderLine(description="Événements", amount=Decimal("3000.00")),
        ],
        first_day=today - timedelta(days=300),
        last_day=today + timedelta(days=45),
        by=staff,
        at=at,
    )


def _credit(staff: User) -> None:
    invoice = Invoice.objects.filter(institution__slug=CREDITED, status="issued").order_by("issued_at").first()
    if invoice is None or CreditNote.objects.filter(institution__slug=CREDITED).exists():
        return
    line = invoice.lines.filter(kind="active_users").first()
    if line is not None:
        reason = "Demonstration: an afternoon without the hub, credited as goodwill."
        issue_credit_note(invoice, nets={line.pk: line.net}, reason=reason, by=staff, at=now())


def _event(issuer: Issuer, staff: User, month: Month) -> None:
    if MemberCharge.objects.exists():
        return
    host = Institution.objects.get(slug=HOST_OF_EVENT)
    record_charge(
        institution=host,
        issuer=issuer,
        month=str(month),
        charge=Charge(
            kind="event",
            description_en="Event hub for a summer school, 2 days",
            description_fr="Carrefour d’événement pour une école d’été, 2 jours",
            quantity=Decimal(2),
            unit="day",
            unit_price=Decimal("150.00"),
            currency="CAD",
            source_type="demonstration",
            source_id=uuid5(NAMESPACE_URL, "demonstration:summer-school"),
        ),
        by=staff,
        at=now(),
    )
