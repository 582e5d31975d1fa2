"""How somebody comes to a seat by another one's word: invitations, and offers of ownership."""

from django.db import models
from django.db.models.functions import Lower

from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from members.models.institutions import Institution
from members.models.people import LANGUAGE_CHOICES, User
from members.roles import Role
from members.states import INVITATION, OWNERSHIP_OFFER


class Invitation(Row):
    """A role offered to whoever reads the mail of an address. Only the hash of its link is kept.

    `token_hash` is empty between two mails: then no link opens it. An open one is expired after `expires_at`.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="invitations")
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=20, choices=Role.choices)
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES)
    status = models.CharField(max_length=20, choices=choices(INVITATION.states), default=INVITATION.initial)
    token_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001 - null is no link
    invited_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(User, models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "institution", Lower("email"), condition=models.Q(status="open"), name="invitation_open_once"
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="invitation_role_known"),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("sent_at")), name="invitation_expires_after_it_is_sent"
            ),
            models.CheckConstraint(
                condition=models.Q(status="open", decided_at=None, accepted_by=None)
                | models.Q(status="accepted", decided_at__isnull=False, accepted_by__isnull=False)
                | models.Q(status="revoked", decided_at__isnull=False, accepted_by=None),
                name="invitation_decided_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} at {self.institution_id} ({self.status})"


class OwnershipOffer(Row):
    """An owner's offer to a colleague to take the ownership over; the colleague accepts or declines."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="ownership_offers")
    offered_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    offered_to = models.ForeignKey(User, models.PROTECT, related_name="+")
    keeps_role = models.CharField("role that the giver keeps", max_length=20, choices=Role.choices, blank=True)
    status = models.CharField(max_length=20, choices=choices(OWNERSHIP_OFFER.states), default=OWNERSHIP_OFFER.initial)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "offered_by"],
                condition=models.Q(status="offered"),
                name="ownershipoffer_open_once",
            ),
            models.CheckConstraint(
                condition=~models.Q(offered_by=models.F("offered_to")), name="ownershipoffer_to_somebody_else"
            ),
            models.CheckConstraint(
                condition=~models.Q(keeps_role=Role.OWNER), name="ownershipoffer_giver_is_no_owner_after_it"
            ),
        ]

    def __str__(self) -> str:
        return f"ownership of {self.institution_id} ({self.status})"
