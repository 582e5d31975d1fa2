"""Universities, their place in the consortium, and the people who act for them."""

from django.db import models
from django.db.models.functions import Lower

from consortium.kernel.fields import Row
from consortium.kernel.language import Bilingual
from consortium.kernel.states import choices
from members.models.people import LANGUAGE_CHOICES, User
from members.roles import Role
from members.states import MEMBERSHIP


class Institution(Row):
    """A university as the public knows it. This table is a directory: it holds public facts only."""

    slug = models.SlugField(max_length=60, unique=True)
    ror = models.CharField("ROR id", max_length=9, blank=True)
    name_en = models.CharField("English name", max_length=200)
    name_fr = models.CharField("French name", max_length=200, blank=True)
    city = models.CharField(max_length=100, blank=True)
    province = models.CharField(max_length=2, blank=True)
    country = models.CharField(max_length=2, default="CA")
    latitude = models.DecimalField(max_digits=8, decimal_places=5, null=True, blank=True)
    longitude = models.DecimalField(max_digits=8, decimal_places=5, null=True, blank=True)
    domain = models.CharField(max_length=200, blank=True)
    zone = models.CharField("time zone", max_length=60)
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES, default="en")
    # False: an applicant wrote it, and no reviewer has confirmed it yet. Nobody else finds it, and it cannot join.
    confirmed = models.BooleanField(default=True)

    name = Bilingual("name")

    class Meta:
        ordering = ["name_en"]
        constraints = [
            models.UniqueConstraint(fields=["ror"], condition=~models.Q(ror=""), name="institution_ror_once"),
            models.UniqueConstraint(Lower("domain"), condition=~models.Q(domain=""), name="institution_domain_once"),
        ]

    def __str__(self) -> str:
        return self.name_en


class Membership(Row):
    """An institution's place in the consortium."""

    institution = models.OneToOneField(Institution, models.PROTECT, related_name="membership")
    status = models.CharField(max_length=20, choices=choices(MEMBERSHIP.states), default=MEMBERSHIP.initial)
    tier = models.CharField(max_length=20)
    fte = models.PositiveIntegerField("students (FTE)", default=0)
    joined_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.institution} ({self.status})"


class Seat(Row):
    """A person's role at an institution, until it ends."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="seats")
    user = models.ForeignKey(User, models.PROTECT, related_name="seats")
    role = models.CharField(max_length=20, choices=Role.choices)
    source = models.CharField(max_length=20, default="application")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    # When an owner last said that the person still needs it, and when the owners were last asked to.
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "user", "role"], condition=models.Q(ended_at=None), name="seat_once"
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="seat_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.role}"


class MemberKey(Row):
    """The key under which an institution's hub users become pseudonyms, sealed for that institution."""

    institution = models.OneToOneField(Institution, models.PROTECT, related_name="member_key")
    sealed = models.TextField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"key of {self.institution_id}"
