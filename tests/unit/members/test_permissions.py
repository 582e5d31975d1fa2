"""The truth table of permissions: every permission, every person of the cast, their own and another university."""

from contextlib import nullcontext
from itertools import product

import pytest

from consortium.kernel.audit import System
from consortium.kernel.errors import Forbidden
from members.models import Seat, StaffSeat
from members.permissions import ROLES, Permission, check_at, check_staff, permissions_at, staff_permissions
from members.roles import Role, StaffRole
from tests.cast import Cast

P = Permission
STAFF = {
    P.REVIEW_APPLICATIONS: "reviewer",
    P.COUNTERSIGN_AGREEMENT: "reviewer",
    P.OPERATE_HUBS: "operator",
    P.IMPORT_BILLS: "finance",
    P.CLOSE_MONTH: "finance",
    P.ISSUE_INVOICES: "finance",
    P.REFUND_PAYMENTS: "finance",
    P.DECIDE_STANDING: "finance",
    P.RECONCILE_PAYMENTS: "finance",
    P.READ_AUDIT: "auditor",
}
# Written out a second time on purpose: a change of who may do what must be made twice, and be seen.
TRUTH = {
    P.VIEW_INSTITUTION: "owner finance technical viewer",
    P.VIEW_HUBS: "owner finance technical viewer",
    P.REQUEST_HUB: "owner technical",
    P.VIEW_USAGE: "owner finance technical",
    P.VIEW_COSTS: "owner finance",
    P.SET_BUDGET: "owner finance",
    P.VIEW_INVOICES: "owner finance",
    P.PAY_INVOICE: "owner finance",
    P.MANAGE_PURCHASE_ORDERS: "owner finance",
    P.CORRECT_BILLING_ADDRESS: "owner finance",
    P.VIEW_PEOPLE: "owner finance technical",
    P.MANAGE_PEOPLE: "owner",
    P.VIEW_AGREEMENT: "owner finance technical",
    P.SIGN_AGREEMENT: "owner",
    P.MANAGE_TOKENS: "owner technical",
    P.MANAGE_SIGN_ON: "owner technical",
    P.RETIRE_HUB: "owner",
    P.VIEW_SERVICE_LEVEL: "owner finance technical",
    P.QUESTION_SERVICE_LEVEL: "owner finance technical",
    P.REQUEST_SUPPORT: "owner technical",
}
PEOPLE = ("owner", "finance", "technical", "viewer", "outsider", "stranger", "staff")


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize("permission", list(P))
def test_each_permission_is_held_by_exactly_these_people(cast: Cast, permission: P) -> None:
    expected = set(TRUTH.get(permission, "").split())
    here = {name for name in PEOPLE if permission in permissions_at(cast.person(name), cast.university.pk)}
    there = {name for name in PEOPLE if permission in permissions_at(cast.person(name), cast.other_university.pk)}
    assert here == expected
    assert there == ({"outsider"} if "owner" in expected else set())


def test_every_permission_stands_in_one_of_the_two_tables() -> None:
    assert set(TRUTH) | set(STAFF) == set(P)
    assert not set(TRUTH) & set(STAFF)


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize(("permission", "role"), STAFF.items())
def test_a_staff_permission_needs_its_staff_role(cast: Cast, permission: P, role: str) -> None:
    StaffSeat.objects.filter(user=cast.staff).exclude(role=role).delete()
    check_staff(cast.staff, permission)
    StaffSeat.objects.filter(user=cast.staff).update(role={"reviewer": "auditor"}.get(role, "reviewer"))
    with pytest.raises(Forbidden):
        check_staff(cast.staff, permission)


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize("role", StaffRole.values)
def test_each_staff_role_holds_exactly_its_permissions_and_none_at_an_institution(cast: Cast, role: str) -> None:
    StaffSeat.objects.filter(user=cast.staff).exclude(role=role).delete()
    assert staff_permissions(cast.staff) == {permission for permission, holder in STAFF.items() if holder == role}
    for institution in (cast.university, cast.other_university):
        assert permissions_at(cast.staff, institution.pk) == frozenset()


@pytest.mark.usefixtures("scope")
@pytest.mark.parametrize("permission", list(P))
def test_the_check_refuses_exactly_whom_the_table_leaves_out(cast: Cast, permission: P) -> None:
    homes = dict.fromkeys(("owner", "finance", "technical", "viewer"), cast.university)
    homes["outsider"] = cast.other_university
    holders = set(TRUTH.get(permission, "").split())
    for name, place in product(PEOPLE, (cast.university, cast.other_university)):
        role = "owner" if name == "outsider" else name
        may = homes.get(name) == place and role in holders
        with nullcontext() if may else pytest.raises(Forbidden):
            check_at(cast.person(name), permission, place.pk)
        with nullcontext() if name == "staff" and permission in STAFF else pytest.raises(Forbidden):
            check_staff(cast.person(name), permission)


def test_who_joins_as_a_viewer_sees_no_invoices_people_or_data_about_users() -> None:
    hidden = {P.VIEW_COSTS, P.VIEW_INVOICES, P.VIEW_PEOPLE, P.VIEW_USAGE, P.MANAGE_PEOPLE, P.MANAGE_TOKENS}
    assert not ROLES[Role.VIEWER] & hidden
    assert ROLES[Role.VIEWER] == {P.VIEW_INSTITUTION, P.VIEW_HUBS}


@pytest.mark.usefixtures("scope")
def test_a_staff_seat_alone_makes_nobody_staff(cast: Cast) -> None:
    StaffSeat.objects.create(user=cast.owner, role="reviewer")
    assert staff_permissions(cast.owner) == frozenset()


@pytest.mark.usefixtures("scope")
def test_a_person_who_is_disabled_may_nothing(cast: Cast) -> None:
    cast.owner.is_active = False
    cast.owner.save()
    assert permissions_at(cast.owner, cast.university.pk) == frozenset()
    cast.staff.is_active = False
    assert staff_permissions(cast.staff) == frozenset()


@pytest.mark.usefixtures("scope")
def test_an_ended_seat_gives_nothing(cast: Cast, at: object) -> None:
    Seat.objects.filter(user=cast.viewer).update(ended_at=at)
    with pytest.raises(Forbidden):
        check_at(cast.viewer, P.VIEW_INSTITUTION, cast.university.pk)


def test_a_program_of_ours_may_and_nobody_without_a_scope_may(cast: Cast) -> None:
    check_staff(System("meter"), P.OPERATE_HUBS)
    check_at(System("meter"), P.VIEW_HUBS, cast.university.pk)
    assert permissions_at(cast.owner, cast.university.pk) == frozenset()  # no scope is open: row-level security
