"""Staff pages of matching rules and allocation policies: where rows go, and how pools are split."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from billing.models import AllocationPolicy, BillImport, MatchingRule
from billing.placing import try_on
from billing.policies import adopt_policy
from billing.rules import Placer, add_rule, load_rules, move_rule, retire_rule
from consortium.admin.cost_forms import BenchForm, PolicyForm, PositionForm, RuleForm
from consortium.admin.tools import Table, ToolAdmin, person_of
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.money import plain
from consortium.usecases.import_bill import known_slugs
from members.forms import show_refusal
from members.models import Institution, Issuer, User
from members.permissions import Permission
from members.staff_admin import Act, held_by


def act_move(row: MatchingRule, *, to: int, by: User, at: datetime) -> object:
    """Try the rule earlier or later."""
    return move_rule(row, to=to, by=by, at=at)


def act_retire(row: MatchingRule, *, by: User, at: datetime) -> object:
    """Let the rule claim no more rows."""
    return retire_rule(row, by=by, at=at)


@admin.register(MatchingRule)
class MatchingRuleAdmin(ToolAdmin):
    """Where rows go, in order, with a bench to try them on."""

    list_display = ["position", "name", "rule", "issuer", "retired_at"]
    list_filter = ["issuer", ("retired_at", admin.EmptyFieldListFilter)]
    tools = (
        ("bench", "Test bench", Permission.IMPORT_BILLS),
        ("write", "Write a rule", Permission.IMPORT_BILLS),
    )
    acts = (
        Act(
            name="move",
            label="Move",
            explain="Rules are tried in order, and the first that fits wins. Bills that are in keep their places.",
            form=PositionForm,
            run=act_move,
            states=(),
            permission=Permission.IMPORT_BILLS,
        ),
        Act(
            name="retire",
            label="Retire",
            explain="The rule claims no more rows; those it claimed keep their places.",
            form=forms.Form,
            run=act_retire,
            states=(),
            permission=Permission.IMPORT_BILLS,
            danger=True,
        ),
    )

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """What may be done to a rule that is live."""
        return [act for act in self.acts if row.retired_at is None and act.permission in held_by(request)]

    def tool_bench(self, request: HttpRequest) -> HttpResponse:
        """Say where a row would go, because of which rule."""
        form = BenchForm(request.GET if "issuer" in request.GET else None, initial={"issuer": Issuer.objects.first()})
        tables = []
        if form.is_bound and form.is_valid():
            try:
                tables = [_placed(form.cleaned_data)]
            except PortalError as error:
                show_refusal(form, error)
        return self.tool_page(
            request,
            title="Test bench of the matching rules",
            explain="Describe a row as the bill would: this page says where it would go, because of which rule.",
            button="Where would it go?",
            form=form,
            tables=tables,
            method="get",
        )

    def tool_write(self, request: HttpRequest) -> HttpResponse:
        """Try a rule on the newest bills; once it was tried, keep it."""
        form = RuleForm(request.POST or None, initial={"issuer": Issuer.objects.first()})
        tables: list[Table] = []
        if request.method == "POST" and form.is_valid():
            issuer = form.cleaned_data["issuer"]
            if "keep" in request.POST:
                row = add_rule(issuer=issuer, rule=form.rule(), by=person_of(request), at=now())
                return self.done(request, f"“{row.name}” is rule {row.position}. Bills can be placed again.")
            tables = _trials(issuer, form)
            form.fields["keep"] = forms.BooleanField(required=False, label="Keep the rule behind the others")
        return self.tool_page(
            request,
            title="Write a matching rule",
            explain="The rule is first tried on the newest bills, behind the rules there are; then it can be kept.",
            button="Try it, or keep it",
            form=form,
            tables=tables,
        )


@dataclass(frozen=True)
class _Row:
    """A row as the bench describes it."""

    charge_category: str
    service_name: str
    sub_account_id: str
    tags: Any


def _placed(data: dict[str, Any]) -> Table:
    issuer = data["issuer"]
    row = _Row(data["charge_category"], data["service_name"], data["sub_account_id"], data["tags"])
    placed = Placer(issuer, known_slugs()).place(row)
    to = placed.pool_key or placed.hub_slug or placed.destination
    institution = str(placed.institution_id or "none")
    if placed.institution_id:
        institution = str(Institution.objects.get(pk=placed.institution_id))
    return Table(
        caption="This row would go there, because",
        headings=("Destination", "Pool or hub", "University", "Because", "Rules tried"),
        rows=[(placed.destination, to, institution, placed.because, len(load_rules(issuer)))],
    )


def _trials(issuer: Issuer, form: RuleForm) -> list[Table]:
    slugs, rows, examples = known_slugs(), [], []
    for bill in BillImport.objects.filter(cloud_account__issuer=issuer).exclude(kind="reversal")[:3]:
        trial = try_on(bill, slugs, candidate=form.rule())
        rows.append((str(bill.cloud_account), bill.month, trial.rows, f"{plain(trial.total)} {trial.currency}"))
        for row, placed in trial.examples:
            examples.append((f"{bill.month}, line {row.line}", row.service_name, row.destination, placed.because))
    return [
        Table(
            caption="What would move, of the newest bills",
            headings=("Account", "Month", "Rows", "Cost"),
            rows=rows,
            empty="There is no bill yet.",
        ),
        Table(
            caption="Examples",
            headings=("Row", "Service", "Is now", "Would go, because"),
            rows=examples,
            empty="No row would move.",
        ),
    ]


@admin.register(AllocationPolicy)
class AllocationPolicyAdmin(ToolAdmin):
    """How pools are split, since when, and where the members approved it."""

    list_display = ["pool_key", "version", "method", "basis", "valid", "decision", "issuer"]
    list_filter = ["pool_key", "issuer"]
    tools = (("adopt", "Adopt a policy", Permission.CLOSE_MONTH),)

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:  # noqa: ARG002 - the base's signature
        """None: the next version replaces a policy."""
        return []

    def tool_adopt(self, request: HttpRequest) -> HttpResponse:
        """Let a policy hold from a month on."""
        form = PolicyForm(request.POST or None, initial={"issuer": Issuer.objects.first(), "pool_key": "shared"})
        if request.method == "POST" and form.is_valid():
            try:
                policy = adopt_policy(
                    form.wanted(), issuer=form.cleaned_data["issuer"], by=person_of(request), at=now()
                )
            except PortalError as error:
                show_refusal(form, error)
            else:
                return self.done(request, f"{policy} holds as version {policy.version}.")
        return self.tool_page(
            request,
            title="Adopt an allocation policy",
            explain="The policy before it ends where this one begins. Months that are closing or closed keep theirs.",
            button="Adopt",
            form=form,
        )
