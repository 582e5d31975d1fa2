"""The internet domains that an institution has proven to be its own."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from members.models.institutions import Institution
from members.sign_on_states import DOMAIN

# Labels of letters, digits and hyphens (an internationalised name in its ASCII form), at least two of them.
DOMAIN_PATTERN = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])$"


class Domain(Row):
    """A domain that an institution says is its own, and what its DNS says."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="domains")
    name = models.CharField(max_length=200)
    token = models.CharField(max_length=64)
    status = models.CharField(max_length=20, choices=choices(DOMAIN.states), default=DOMAIN.initial)
    created_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    missing_since = models.DateTimeField(null=True, blank=True)
    found = ArrayField(models.CharField(max_length=300), default=list, blank=True)
    problem = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(status="verified"), name="domain_verified_once"),
            models.UniqueConstraint(
                fields=["institution", "name"], condition=~Q(status="removed"), name="domain_listed_once"
            ),
            models.UniqueConstraint(fields=["token"], name="domain_token_once"),
            models.CheckConstraint(condition=Q(name__regex=DOMAIN_PATTERN), name="domain_name_plain"),
            models.CheckConstraint(
                condition=~Q(status="verified") | Q(verified_at__isnull=False), name="domain_verified_at"
            ),
        ]

    def __str__(self) -> str:
        return self.name
