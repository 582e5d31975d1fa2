"""A university's application and the conversation about it."""

from django.db import models

from consortium.kernel.fields import CurrencyField, Row
from consortium.kernel.states import choices
from members.models.institutions import Institution
from members.models.people import LANGUAGE_CHOICES, User
from members.states import APPLICATION


class Application(Row):
    """What a university says of itself when it asks to join."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="applications")
    applicant = models.ForeignKey(User, models.PROTECT, related_name="applications")
    status = models.CharField(max_length=20, choices=choices(APPLICATION.states), default=APPLICATION.initial)
    legal_name = models.CharField(max_length=300, blank=True)
    address = models.TextField(blank=True)
    fte = models.PositiveIntegerField("students (FTE)", null=True, blank=True)
    signatory_name = models.CharField(max_length=200, blank=True)
    signatory_title = models.CharField(max_length=200, blank=True)
    signatory_email = models.EmailField(blank=True)
    finance_email = models.EmailField(blank=True)
    technical_email = models.EmailField(blank=True)
    privacy_email = models.EmailField(blank=True)
    purpose = models.TextField("intended use", blank=True)
    po_required = models.BooleanField("a purchase order is needed", default=False)
    currency = CurrencyField(default="CAD")
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES, default="en")
    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["institution"],
                condition=models.Q(status__in=["draft", "submitted", "questioned"]),
                name="application_open_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution} ({self.status})"


class ApplicationNote(Row):
    """A question, an answer or a staff note about an application. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    application = models.ForeignKey(Application, models.PROTECT, related_name="notes")
    author = models.ForeignKey(User, models.PROTECT)
    kind = models.CharField(max_length=10, choices=[(k, k) for k in ("question", "answer", "internal")])
    text = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d}"
