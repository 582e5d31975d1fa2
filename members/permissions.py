"""Who may do what: one enum, one table, on one page that an auditor can read."""

from enum import StrEnum
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.utils.translation import gettext as _

from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden
from members.models import Seat, StaffSeat, User
from members.roles import Role, StaffRole


class Permission(StrEnum):
    """Every operation that is checked. Names read "verb_object"."""

    VIEW_INSTITUTION = "view_institution"
    VIEW_HUBS = "view_hubs"
    REQUEST_HUB = "request_hub"
    RETIRE_HUB = "retire_hub"
    VIEW_USAGE = "view_usage"
    VIEW_COSTS = "view_costs"
    SET_BUDGET = "set_budget"
    VIEW_INVOICES = "view_invoices"
    PAY_INVOICE = "pay_invoice"
    MANAGE_PURCHASE_ORDERS = "manage_purchase_orders"
    CORRECT_BILLING_ADDRESS = "correct_billing_address"
    VIEW_PEOPLE = "view_people"
    MANAGE_PEOPLE = "manage_people"
    VIEW_SERVICE_LEVEL = "view_service_level"
    QUESTION_SERVICE_LEVEL = "question_service_level"
    VIEW_AGREEMENT = "view_agreement"
    SIGN_AGREEMENT = "sign_agreement"
    MANAGE_TOKENS = "manage_tokens"
    MANAGE_SIGN_ON = "manage_sign_on"
    REQUEST_SUPPORT = "request_support"
    # Consortium staff
    REVIEW_APPLICATIONS = "review_applications"
    COUNTERSIGN_AGREEMENT = "countersign_agreement"
    OPERATE_HUBS = "operate_hubs"
    IMPORT_BILLS = "import_bills"
    CLOSE_MONTH = "close_month"
    ISSUE_INVOICES = "issue_invoices"
    REFUND_PAYMENTS = "refund_payments"
    DECIDE_STANDING = "decide_standing"
    RECONCILE_PAYMENTS = "reconcile_payments"
    READ_AUDIT = "read_audit"


P = Permission
ROLES: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(
        {
            P.VIEW_INSTITUTION, P.VIEW_HUBS, P.REQUEST_HUB, P.VIEW_USAGE, P.VIEW_COSTS, P.VIEW_INVOICES, P.PAY_INVOICE,
            P.VIEW_PEOPLE, P.MANAGE_PEOPLE, P.VIEW_AGREEMENT, P.SIGN_AGREEMENT, P.MANAGE_TOKENS,
            P.VIEW_SERVICE_LEVEL, P.QUESTION_SERVICE_LEVEL, P.RETIRE_HUB,
            P.MANAGE_SIGN_ON,
            P.SET_BUDGET,
            P.MANAGE_PURCHASE_ORDERS,
            P.CORRECT_BILLING_ADDRESS,
            P.REQUEST_SUPPORT,
        }
    ),
    Role.FINANCE: frozenset(
        {
            P.VIEW_INSTITUTION, P.VIEW_HUBS, P.VIEW_USAGE, P.VIEW_COSTS, P.VIEW_INVOICES, P.PAY_INVOICE, P.VIEW_PEOPLE,
            P.VIEW_AGREEMENT, P.VIEW_SERVICE_LEVEL, P.QUESTION_SERVICE_LEVEL,
            P.VIEW_AGREEMENT, P.SET_BUDGET,
            P.VIEW_AGREEMENT, P.MANAGE_PURCHASE_ORDERS,
            P.CORRECT_BILLING_ADDRESS,
        }
    ),
    Role.TECHNICAL: frozenset(
        {
            P.VIEW_INSTITUTION, P.VIEW_HUBS, P.REQUEST_HUB, P.VIEW_USAGE, P.VIEW_PEOPLE, P.VIEW_AGREEMENT,
            P.MANAGE_TOKENS, P.VIEW_SERVICE_LEVEL, P.QUESTION_SERVICE_LEVEL,
            P.MANAGE_TOKENS, P.MANAGE_SIGN_ON,
            P.REQUEST_SUPPORT,
        }
    ),
    Role.VIEWER: frozenset({P.VIEW_INSTITUTION, P.VIEW_HUBS}),
}  # fmt: skip
STAFF_ROLES: dict[StaffRole, frozenset[Permission]] = {
    StaffRole.REVIEWER: frozenset({P.REVIEW_APPLICATIONS, P.COUNTERSIGN_AGREEMENT}),
    StaffRole.FINANCE: frozenset(
        {P.IMPORT_BILLS, P.CLOSE_MONTH, P.ISSUE_INVOICES, P.REFUND_PAYMENTS, P.DECIDE_STANDING} | {P.RECONCILE_PAYMENTS}
    ),
    StaffRole.OPERATOR: frozenset({P.OPERATE_HUBS}),
    StaffRole.AUDITOR: frozenset({P.READ_AUDIT}),
}
MFA_ROLES = frozenset({Role.OWNER, Role.FINANCE})


def permissions_at(user: User | AnonymousUser, institution_id: UUID) -> frozenset[Permission]:
    """What the person may do at the institution. Needs a scope in which the person's seats are visible."""
    if not isinstance(user, User) or not user.is_active:
        return frozenset()
    roles = Seat.objects.filter(user=user, institution_id=institution_id, ended_at=None).values_list("role", flat=True)
    return frozenset().union(*(ROLES[Role(role)] for role in roles))


def staff_permissions(user: User | AnonymousUser) -> frozenset[Permission]:
    """What the person may do as consortium staff."""
    if not isinstance(user, User) or not (user.is_active and user.is_staff):
        return frozenset()
    roles = StaffSeat.objects.filter(user=user, ended_at=None).values_list("role", flat=True)
    return frozenset().union(*(STAFF_ROLES[StaffRole(role)] for role in roles))


def check_at(by: User | System, permission: Permission, institution_id: UUID) -> None:
    """Raise Forbidden unless the person holds the permission at the institution. First line of every member's write.

    A program of ours (`System`, which only code can make) may.
    """
    if not isinstance(by, System) and permission not in permissions_at(by, institution_id):
        raise Forbidden(_("Your role at this institution does not allow this. Ask one of its owners."))


def check_staff(by: User | System, permission: Permission) -> None:
    """Raise Forbidden unless the person holds the permission as consortium staff. First line of every staff write.

    A program of ours (`System`, which only code can make) may.
    """
    if not isinstance(by, System) and permission not in staff_permissions(by):
        raise Forbidden(_("Your staff role does not allow this. Ask a colleague who holds it."))


def must_use_mfa(user: User) -> bool:
    """Owners, finance people and staff need a second factor. Needs a scope in which the seats are visible."""
    if user.is_staff:
        return True
    return Seat.objects.filter(Q(role__in=MFA_ROLES), user=user, ended_at=None).exists()


def seats_of(user: User) -> list[Seat]:
    """The person's seats with their institutions, by name. Needs Scope.SIGN_IN."""
    return list(
        Seat.objects.filter(user=user, ended_at=None).select_related("institution").order_by("institution__name_en")
    )
