"""How an institution's people sign on: its configurations, their tests, and the assertions that were used up."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from members.models.institutions import Institution
from members.models.people import User
from members.sign_on_states import SIGN_ON

LIVE = ("enabled", "enforced")
OPEN = ("draft", "tested")


class SignOnKind(models.TextChoices):
    """What the identity provider speaks."""

    SAML = "saml", "SAML 2.0"
    CILOGON = "cilogon", "CILogon"
    OIDC = "oidc", "OpenID Connect"


class JoinAffiliation(models.TextChoices):
    """Affiliations that may bring a seat with them. `member` and `student` can never be among them."""

    FACULTY = "faculty", "faculty"
    STAFF = "staff", "staff"
    EMPLOYEE = "employee", "employee"


def default_affiliations() -> list[str]:
    """Faculty and staff."""
    return [JoinAffiliation.FACULTY.value, JoinAffiliation.STAFF.value]


class SignOn(Row):
    """One configuration of an institution's identity provider. At most one is live, and at most one in preparation.

    A live one is frozen: what was tested is what people use. A change is a new row that is tested and then replaces it.
    `issuer` is OpenID Connect's issuer or SAML's entity id; with a subject it names a person, never an e-mail address.
    """

    institution = models.ForeignKey(Institution, models.PROTECT, related_name="sign_ons")
    kind = models.CharField(max_length=10, choices=SignOnKind.choices)
    status = models.CharField(max_length=20, choices=choices(SIGN_ON.states), default=SIGN_ON.initial)
    issuer = models.CharField(max_length=150)
    client_id = models.CharField(max_length=250, blank=True, default="")
    sealed_secret = models.TextField(blank=True, default="")
    idp = models.CharField("entity id behind CILogon", max_length=250, blank=True, default="")
    sso_url = models.URLField(max_length=300, blank=True, default="")
    certificates = models.TextField(blank=True, default="")
    ask_mfa = models.BooleanField(default=False)
    join_affiliations = ArrayField(models.CharField(max_length=20), default=default_affiliations, blank=True)
    digest = models.CharField(max_length=64)
    tested_digest = models.CharField(max_length=64, blank=True, default="")
    created_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["institution"], condition=Q(status__in=LIVE), name="signon_one_live"),
            models.UniqueConstraint(fields=["institution"], condition=Q(status__in=OPEN), name="signon_one_open"),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "off"]) | Q(tested_digest=F("digest")), name="signon_live_was_tested"
            ),
            models.CheckConstraint(
                condition=Q(join_affiliations__contained_by=JoinAffiliation.values), name="signon_join_never_students"
            ),
            models.CheckConstraint(condition=Q(kind__in=SignOnKind.values), name="signon_kind_known"),
            models.CheckConstraint(condition=~Q(kind="cilogon") | ~Q(idp=""), name="signon_cilogon_names_idp"),
            models.CheckConstraint(
                condition=(Q(kind="saml") & ~Q(sso_url="") & ~Q(certificates=""))
                | (~Q(kind="saml") & ~Q(client_id="") & ~Q(sealed_secret="")),
                name="signon_complete",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.issuer}"


class SignOnTest(Row):
    """What a real sign-in through a configuration released, by whom, and what it lacked. Append-only.

    `released` holds names and masked values: enough to mend a release policy, too little to know a person.
    """

    institution = models.ForeignKey(Institution, models.PROTECT)
    sign_on = models.ForeignKey(SignOn, models.PROTECT, related_name="tests")
    digest = models.CharField(max_length=64)
    by = models.ForeignKey(User, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    released = models.JSONField(default=dict)
    missing = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    passed = models.BooleanField()

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.CheckConstraint(condition=Q(passed=False) | Q(missing=[]), name="signontest_passed_is_whole"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {'passed' if self.passed else 'failed'}"


class UsedAssertion(Row):
    """A SAML assertion that came in: its id is good once. What it said is sealed until its browser fetches it."""

    institution = models.ForeignKey(Institution, models.PROTECT)
    sign_on = models.ForeignKey(SignOn, models.PROTECT)
    assertion_digest = models.CharField(max_length=64)
    ticket_hash = models.CharField(max_length=64, unique=True)
    in_response_to = models.CharField(max_length=120)
    sealed = models.TextField(blank=True, default="")
    at = models.DateTimeField()
    fetched_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["institution", "assertion_digest"], name="usedassertion_once"),
            models.UniqueConstraint(fields=["institution", "in_response_to"], name="usedassertion_one_answer"),
        ]

    def __str__(self) -> str:
        return self.assertion_digest[:12]
