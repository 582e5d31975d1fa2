"""A university's application and the conversation about it."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from consortium.kernel.fields import CurrencyField, Row
from consortium.kernel.geography import PROVINCES
from consortium.kernel.states import choices
from members.answers import DOMAINS_AT_MOST
from members.models.institutions import Institution
from members.models.people import LANGUAGE_CHOICES, User
from members.roles import Role
from members.states import APPLICATION

PROVINCE_CHOICES = [(code, names[0]) for code, names in PROVINCES.items()]
SIGN_ON_CHOICES = [(value, value) for value in ("none", "federation", "oidc", "saml")]


class Application(Row):
    """What a university says of itself when it asks to join."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="applications")
    applicant = models.ForeignKey(User, models.PROTECT, related_name="applications")
    status = models.CharField(max_length=20, choices=choices(APPLICATION.states), default=APPLICATION.initial)
    legal_name = models.CharField(max_length=300, blank=True)
    legal_name_fr = models.CharField("French legal name", max_length=300, blank=True)
    address = models.TextField("street address", blank=True)
    city = models.CharField(max_length=100, blank=True)
    province = models.CharField(max_length=2, choices=PROVINCE_CHOICES, blank=True)
    postal_code = models.CharField(max_length=12, blank=True)
    country = models.CharField("country (ISO 3166)", max_length=2, default="CA")
    tax_number = models.CharField("business number", max_length=40, blank=True)
    registration_number = models.CharField(max_length=40, blank=True)
    fte = models.PositiveIntegerField("students (FTE)", null=True, blank=True)
    staff_fte = models.PositiveIntegerField("staff (FTE)", null=True, blank=True)
    signatory_name = models.CharField(max_length=200, blank=True)
    signatory_title = models.CharField(max_length=200, blank=True)
    signatory_email = models.EmailField(blank=True)
    administrators = models.JSONField("administrators: name, email, role of each", default=list, blank=True)
    finance_email = models.EmailField(blank=True)
    finance_address = models.TextField(blank=True)
    technical_name = models.CharField(max_length=200, blank=True)
    technical_email = models.EmailField(blank=True)
    privacy_name = models.CharField(max_length=200, blank=True)
    privacy_email = models.EmailField(blank=True)
    email_domains = ArrayField(models.CharField(max_length=253), default=list, blank=True)
    sign_on = models.CharField(max_length=12, choices=SIGN_ON_CHOICES, blank=True)
    sign_on_id = models.CharField("entity id or issuer address", max_length=500, blank=True)
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
            models.CheckConstraint(
                condition=models.Q(province__in=["", *PROVINCES]), name="application_province_known"
            ),
            models.CheckConstraint(condition=models.Q(country__regex=r"^[A-Z]{2}$"), name="application_country_shape"),
            models.CheckConstraint(
                condition=models.Q(sign_on__in=["", *(value for value, _words in SIGN_ON_CHOICES)]),
                name="application_sign_on_known",
            ),
            models.CheckConstraint(
                condition=models.Q(email_domains__len__lte=DOMAINS_AT_MOST), name="application_domains_few"
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


class AccessRequest(Row):
    """Somebody of a member's university asked its owners for a seat. Append-only, once for each person."""

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="access_requests")
    user = models.ForeignKey(User, models.PROTECT, related_name="access_requests")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["institution", "user"], name="accessrequest_once")]

    def __str__(self) -> str:
        return f"{self.user} asks {self.institution}"


class AccessDecision(Row):
    """An owner's answer to who asked for a seat. Append-only, once for each request."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    request = models.OneToOneField(AccessRequest, models.PROTECT, related_name="decision")
    granted_role = models.CharField(max_length=20, choices=Role.choices, blank=True)  # empty: declined
    decided_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(granted_role__in=["", *Role.values]), name="accessdecision_role_known"
            )
        ]

    def __str__(self) -> str:
        return f"{self.granted_role or 'declined'}, {self.decided_at:%Y-%m-%d}"
