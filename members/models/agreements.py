"""Service agreements: bilingual clauses and a typed schedule, versioned, signed, frozen."""

from datetime import date, timedelta

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.db import models
from django.db.models.functions import Least

from consortium.kernel.fields import CurrencyField, Row
from consortium.kernel.language import Bilingual
from consortium.kernel.states import choices
from members.models.institutions import Institution
from members.models.issuers import Issuer
from members.models.people import LANGUAGE_CHOICES, User
from members.states import AGREEMENT

# What both sides were or are bound by: no two of these cover one day.
BINDING = ("in_force", "suspended", "terminating", "superseded", "ended")
KINDS = [
    ("first", "first agreement"),
    ("amendment", "amendment"),
    ("renewal", "renewal"),
    ("prices", "new prices by notice"),
]


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
    """What one institution agreed with one issuer. Frozen from signing on.

    Later only its status moves, and `covered_until`: the first day that it does not cover although its text would,
    because a newer version begins then or because a side gave notice.
    """

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
    kind = models.CharField(max_length=10, choices=KINDS, default="first")
    follows = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="successors", verbose_name="version that it changes"
    )
    covered_until = models.DateField(null=True, blank=True)

    title = Bilingual("title")
    clauses = Bilingual("clauses")

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["institution", "issuer", "version"], name="agreement_version"),
            ExclusionConstraint(
                name="agreement_terms_apart",
                expressions=[
                    ("institution", RangeOperators.EQUAL),
                    ("issuer", RangeOperators.EQUAL),
                    (
                        models.Func(
                            "starts_on",
                            Least("ends_on", "covered_until"),
                            function="daterange",
                            output_field=DateRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                condition=models.Q(status__in=BINDING),
            ),
            models.CheckConstraint(
                condition=models.Q(covered_until=None) | models.Q(covered_until__gte=models.F("starts_on")),
                name="agreement_covered_until",
            ),
            models.CheckConstraint(
                condition=models.Q(kind__in=[kind for kind, _words in KINDS]), name="agreement_kind"
            ),
            models.CheckConstraint(
                condition=models.Q(kind="first") | models.Q(follows__isnull=False), name="agreement_follows"
            ),
            models.CheckConstraint(
                condition=models.Q(ends_on=None) | models.Q(ends_on__gt=models.F("starts_on")), name="agreement_term"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.institution} v{self.version} ({self.status})"

    @property
    def covers_until(self) -> date | None:
        """The first day that it does not cover, for whatever reason; None: open."""
        days = [day for day in (self.ends_on, self.covered_until) if day is not None]
        return min(days, default=None)

    @property
    def last_day(self) -> date | None:
        """The last day that it covers; None: open. A version that gave way before it began has one before its first."""
        end = self.covers_until
        return end - timedelta(days=1) if end else None


class AgreementRevision(Row):
    """A state of the text and schedule while they were negotiated. Append-only; 1 is what the template said."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    title_en = models.CharField(max_length=200)
    title_fr = models.CharField(max_length=200)
    clauses_en = models.TextField()
    clauses_fr = models.TextField()
    schedule = models.JSONField()
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)
    content_sha256 = models.CharField(max_length=64)
    note = models.CharField("what was changed and why", max_length=500, blank=True)
    author = models.ForeignKey(User, models.PROTECT, null=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["agreement", "number"], name="agreementrevision_number")]

    def __str__(self) -> str:
        return f"{self.agreement} r{self.number}"

    @property
    def issuer(self) -> Issuer:
        """The consortium's side."""
        return self.agreement.issuer

    @property
    def zone(self) -> str:
        """The billing time zone."""
        return self.agreement.zone


class AgreementEvent(Row):
    """What happened to an agreement, as both sides read it: offers, wishes, notices, reminders. Append-only.

    `key` makes an event that must happen once unique, such as the reminder of 14 days before the end.
    """

    KINDS = (
        "offered", "change_requested", "commented", "withdrawn", "announced", "suspended", "resumed", "notice_given",
        "notice_withdrawn", "renewal_offered", "reminded", "superseded", "ended", "began",
    )  # fmt: skip

    institution = models.ForeignKey(Institution, models.PROTECT)
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=20, choices=[(kind, kind.replace("_", " ")) for kind in KINDS])
    side = models.CharField(max_length=12, choices=[(side, side) for side in ("member", "consortium", "portal")])
    author = models.ForeignKey(User, models.PROTECT, null=True)
    revision = models.PositiveIntegerField(null=True)
    day = models.DateField(null=True)
    text = models.TextField(blank=True)
    key = models.CharField(max_length=20, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["agreement", "kind", "key"], condition=~models.Q(key=""), name="agreementevent_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d}"


class SigningInvitation(Row):
    """A delegate who may read and sign one agreement without an account, by a secret link to one address.

    The link is made when its mail is written, and kept as a hash; it works once.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="invitations")
    email = models.EmailField()
    name = models.CharField(max_length=200)
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES)
    token_hash = models.CharField(max_length=64, blank=True)  # empty until the mail is written
    created_by = models.ForeignKey(User, models.PROTECT)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["token_hash"], condition=~models.Q(token_hash=""), name="signinginvitation_token_once"
            ),
            models.UniqueConstraint(
                fields=["agreement"],
                condition=models.Q(used_at=None, revoked_at=None),
                name="signinginvitation_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(used_at=None) | models.Q(revoked_at=None), name="signinginvitation_used_or_revoked"
            ),
            models.CheckConstraint(
                condition=models.Q(used_at=None) | models.Q(used_at__lte=models.F("expires_at")),
                name="signinginvitation_in_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agreement}: delegate"


class TextDelivery(Row):
    """Evidence that a text of an agreement was handed over in a language, to whom and when. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="deliveries")
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES)
    content_sha256 = models.CharField(max_length=64)
    reader = models.ForeignKey(User, models.PROTECT, null=True)
    invitation = models.ForeignKey(SigningInvitation, models.PROTECT, null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reader__isnull=False) ^ models.Q(invitation__isnull=False),
                name="textdelivery_one_reader",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.language} {self.at:%Y-%m-%d}"


class Signature(Row):
    """Who signed which bytes for which side. Append-only."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    agreement = models.ForeignKey(Agreement, models.PROTECT, related_name="signatures")
    side = models.CharField(max_length=12, choices=[("member", "member"), ("consortium", "consortium")])
    signer = models.ForeignKey(User, models.PROTECT, null=True)  # None: a delegate, who has no account
    invitation = models.ForeignKey(SigningInvitation, models.PROTECT, null=True, related_name="signatures")
    name = models.CharField(max_length=200)
    title = models.CharField(max_length=200)
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES)
    consent = models.TextField()
    content_sha256 = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agreement", "side"], name="signature_once"),
            models.CheckConstraint(
                condition=models.Q(signer__isnull=False) ^ models.Q(invitation__isnull=False),
                name="signature_one_signer",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.side})"
