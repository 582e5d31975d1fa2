"""Service agreements: bilingual clauses and a typed schedule, versioned, signed, frozen."""

from django.db import models

from consortium.kernel.fields import CurrencyField, Row
from consortium.kernel.language import Bilingual
from consortium.kernel.states import choices
from members.models.institutions import Institution
from members.models.issuers import Issuer
from members.models.people import LANGUAGE_CHOICES, User
from members.states import AGREEMENT


class AgreementTemplate(Row):
    """A version of the clauses and of the schedule's defaults; insert-only, the newest version is offered."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="templates")
    version = models.PositiveIntegerField()
    title_en = models.CharField(max_length=200)
    title_fr = models.CharField(max_length=200)
    clauses_en = models.TextField("English clauses (Markdown)")
    clauses_fr = models.TextField("French clauses (Markdown)")
    schedule = models.JSONField("schedule (members.schedule.Schedule)")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "version"], name="agreementtemplate_version")]

    def __str__(self) -> str:
        return f"{self.title_en} v{self.version}"


class Agreement(Row):
    """What one institution agreed with one issuer. Frozen from signing on: only its status moves."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="agreements")
    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="agreements")
    template = models.ForeignKey(AgreementTemplate, models.PROTECT)
    version = models.PositiveIntegerField()
    status = models.CharField(max_length=20, choices=choices(AGREEMENT.states), default=AGREEMENT.initial)
    title_en = models.CharField(max_length=200)
    title_fr = models.CharField(max_length=200)
    clauses_en = models.TextField()
    clauses_fr = models.TextField()
    schedule = models.JSONField()
    currency = CurrencyField()
    zone = models.CharField("billing time zone", max_length=60)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField()

    title = Bilingual("title")
    clauses = Bilingual("clauses")

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["institution", "issuer", "version"], name="agreement_version"),
            models.UniqueConstraint(
                fields=["institution", "issuer"],
                condition=models.Q(status="in_force"),
                name="agreement_one_in_force",
            ),
            models.CheckConstraint(
                condition=models.Q(ends_on=None) | models.Q(ends_on__gt=models.F("starts_on")), name="agreement_term"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution} v{self.version} ({self.status})"


class Signature(Row):
    """Who signed which bytes for which side. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="signatures")
    side = models.CharField(max_length=12, choices=[("member", "member"), ("consortium", "consortium")])
    signer = models.ForeignKey(User, models.PROTECT)
    name = models.CharField(max_length=200)
    title = models.CharField(max_length=200)
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES)
    consent = models.TextField()
    content_sha256 = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agreement", "side"], name="signature_once")]

    def __str__(self) -> str:
        return f"{self.name} ({self.side})"
