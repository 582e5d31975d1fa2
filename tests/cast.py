"""The named cast of the tests: one university with its people, another one, and consortium staff."""

from dataclasses import dataclass
from datetime import date, datetime

from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Institution, Issuer, Membership, Seat, StaffSeat, User
from members.roles import Role, StaffRole

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Cast:
    """Who appears: `outsider` has a seat at another university, `stranger` none anywhere."""

    issuer: Issuer
    university: Institution
    other_university: Institution
    owner: User
    finance: User
    technical: User
    viewer: User
    outsider: User
    stranger: User
    staff: User

    def person(self, name: str) -> User:
        """The person of that name."""
        user = getattr(self, name)
        assert isinstance(user, User)
        return user


def make_person(name: str, *, is_staff: bool = False, language: str = "en") -> User:
    """A person whose address is made of the name; no password, since hashing one is slow."""
    return User.objects.create_user(f"{name}@people.example", name=name.title(), is_staff=is_staff, language=language)


def make_institution(slug: str, *, province: str = "BC", zone: str = "America/Vancouver") -> Institution:
    """A made-up university."""
    return Institution.objects.create(
        slug=slug,
        name_en=f"{slug.title()} University",
        name_fr=f"Université {slug.title()}",
        city="Somewhere",
        province=province,
        zone=zone,
        domain=f"{slug}.example",
        latitude="49.26",
        longitude="-123.25",
    )


def make_cast(at: datetime) -> Cast:
    """Write the cast; needs no scope of the caller's."""
    university, other = make_institution("cedar"), make_institution("maple", province="QC", zone="America/Toronto")
    issuer = Issuer.objects.create(
        slug="icc",
        name_en="Interactive Computing Consortium",
        name_fr="Consortium de calcul interactif",
        address="1 Example Street\nVancouver BC",
        email="billing@consortium.example",
        zone="America/Vancouver",
    )
    people = {name: make_person(name) for name in ("owner", "finance", "technical", "viewer", "outsider", "stranger")}
    staff = make_person("staff", is_staff=True)
    StaffSeat.objects.bulk_create(StaffSeat(user=staff, role=role) for role in StaffRole.values)
    with consortium_scope(Scope.COMMAND):
        for institution in (university, other):
            membership = Membership.objects.create(institution=institution, tier="medium", fte=20_000)
            Membership.objects.filter(pk=membership.pk).update(status="active", joined_at=at)
        for role in Role.values:
            Seat.objects.create(institution=university, user=people[role], role=role, created_at=at)
        Seat.objects.create(institution=other, user=people["outsider"], role=Role.OWNER, created_at=at)
    return Cast(issuer, university, other, staff=staff, **people)


FIRST_DAY = date(2026, 1, 1)
