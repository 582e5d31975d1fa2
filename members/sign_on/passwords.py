"""Who may not sign in with a password any more: people of an institution that requires its sign-on.

Owners still may (with their second factor): a broken identity provider must not lock an institution out of mending it.
"""

from allauth.account.models import EmailAddress

from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Domain, Institution, Seat, SignOn, User
from members.roles import Role
from members.sessions import end_sessions


def requiring_institution(user: User) -> Institution | None:
    """The institution whose sign-on this person must use, or None. Needs Scope.SIGN_IN."""
    addresses = {user.email, *EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)}
    names = {address.rpartition("@")[2].lower() for address in addresses}
    owners = Domain.objects.filter(name__in=names, status="verified").values_list("institution_id", flat=True)
    sign_on = SignOn.objects.filter(institution_id__in=list(owners), status="enforced").first()
    if sign_on is None or user.is_staff:
        return None
    is_owner = Seat.objects.filter(
        user=user, institution_id=sign_on.institution_id, role=Role.OWNER, ended_at=None
    ).exists()
    return None if is_owner else sign_on.institution


def sign_out_bound(institution: Institution, *, but: User | None) -> int:
    """Sign out everybody here who must use sign-on from now on, `but` who required it; returns how many people.

    Who came by the university's sign-on comes back by it; a session that a password began does not outlive the rule.
    """
    people = User.objects.filter(seats__institution=institution, seats__ended_at=None, is_active=True).distinct()
    out = 0
    for user in people:
        if but is not None and user.pk == but.pk:
            continue
        with consortium_scope(Scope.SIGN_IN):
            bound = requiring_institution(user)
        if bound is not None and bound.pk == institution.pk:
            out += end_sessions(user) > 0
    return out
