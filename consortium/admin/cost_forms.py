"""Forms of the staff pages of costs. They read values; the functions that the pages call decide."""

import json
from typing import Any

from django import forms

from billing.focus.cells import tags as read_tags
from billing.focus.errors import CellInvalid
from billing.manual_costs import Evidence, ManualCost
from billing.matching import By, Destination, Kind, MatchRule, RuleInvalid
from billing.policies import METHODS, Wanted
from billing.pool_rules import BASES, RECOVERABLE
from consortium.kernel.money import AmountInvalid, parse_amount
from consortium.kernel.periods import Month, MonthInvalid
from members.models import Issuer

_CATEGORIES = [(name, name) for name in ("Usage", "Purchase", "Tax", "Credit", "Adjustment")]


class MonthField(forms.CharField):
    """A month, YYYY-MM."""

    def clean(self, value: Any) -> Any:
        """Read it."""
        text = super().clean(value)
        try:
            return Month.parse(text) if text else None
        except MonthInvalid as error:
            raise forms.ValidationError(error.message) from error


class AmountField(forms.CharField):
    """An exact amount, in plain digits."""

    def clean(self, value: Any) -> Any:
        """Read it."""
        try:
            return parse_amount(super().clean(value).strip())
        except AmountInvalid as error:
            raise forms.ValidationError(error.message) from error


class JsonField(forms.CharField):
    """A JSON object."""

    widget = forms.Textarea(attrs={"rows": 3, "cols": 60})

    def clean(self, value: Any) -> Any:
        """Read it; figures stay text."""
        text = super().clean(value) or "{}"
        try:
            found = json.loads(text, parse_float=str, parse_int=str)
        except ValueError as error:
            raise forms.ValidationError(f"This is no JSON object: {error}.") from error
        if not isinstance(found, dict):
            raise forms.ValidationError("Write a JSON object, in braces.")
        return found


class RuleForm(forms.Form):
    """A rule: what it looks at, what fits, and where the rows go."""

    issuer = forms.ModelChoiceField(Issuer.objects.all())
    name = forms.CharField(max_length=100, help_text="As it will stand in the reason of each row.")
    by = forms.ChoiceField(label="Looks at", choices=[(each.value, each.value) for each in By])
    tag_key = forms.CharField(label="Tag's key", max_length=200, required=False, help_text="For a tag rule only.")
    pattern = forms.CharField(max_length=300, initial="*", help_text="* is any text, ? one character.")
    kind = forms.ChoiceField(label="Goes to", choices=[(each.value, each.value) for each in (Kind.DIRECT, Kind.POOL)])
    key = forms.CharField(
        label="University or pool", max_length=60, help_text="A slug; * takes the matched value as the university's."
    )

    def rule(self) -> MatchRule:
        """The rule that was written. Raises RuleInvalid."""
        data = self.cleaned_data
        return MatchRule(
            by=By(data["by"]),
            destination=Destination(Kind(data["kind"]), data["key"].strip()),
            pattern=data["pattern"],
            tag_key=data["tag_key"].strip(),
            name=data["name"].strip(),
        )

    def clean(self) -> dict[str, Any]:
        """Refuse a rule that means nothing, at its field."""
        data = super().clean() or {}
        if not self.errors:
            try:
                self.rule()
            except RuleInvalid as error:
                self.add_error(error.field if error.field in self.fields else None, error.message)
        return data


class BenchForm(forms.Form):
    """A row to try the rules on."""

    issuer = forms.ModelChoiceField(Issuer.objects.all())
    charge_category = forms.ChoiceField(choices=_CATEGORIES)
    service_name = forms.CharField(required=False, max_length=300)
    sub_account_id = forms.CharField(required=False, max_length=300)
    tags = forms.CharField(
        required=False,
        max_length=5_000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text='As in the bill: {"university": "ubc", "hub": "ubc-lab"}',
    )

    def clean_tags(self) -> Any:
        """Read tags as a bill's are read."""
        try:
            return read_tags(self.cleaned_data["tags"] or "{}")
        except CellInvalid as error:
            raise forms.ValidationError(str(error)) from error


class UploadForm(forms.Form):
    """A bill to bring in."""

    issuer = forms.ModelChoiceField(Issuer.objects.all())
    account = forms.CharField(max_length=60, help_text="The account's name, or its number at the provider.")
    create_account = forms.BooleanField(required=False, label="Register the account if it is new")
    month = MonthField(
        required=False, max_length=7, label="Charged in", help_text="YYYY-MM; empty: the first open month."
    )
    file = forms.FileField(help_text="FOCUS 1.0 to 1.3: CSV, .csv.gz or Parquet.")
    rehearse = forms.BooleanField(
        required=False, initial=True, label="Only rehearse", help_text="Say what would happen and change nothing."
    )


class ManualCostForm(forms.Form):
    """A cost that no provider bills."""

    issuer = forms.ModelChoiceField(Issuer.objects.all())
    name = forms.CharField(max_length=60, help_text="What it is for, such as Support staff; the same name each month.")
    month = MonthField(max_length=7, help_text="The month it belongs to, YYYY-MM.")
    charged_month = MonthField(max_length=7, label="Charged in", help_text="An open month, YYYY-MM.")
    amount = AmountField(max_length=40)
    currency = forms.CharField(max_length=3, initial="CAD")
    kind = forms.ChoiceField(label="Borne by", choices=[(each.value, each.value) for each in (Kind.POOL, Kind.DIRECT)])
    key = forms.CharField(label="Pool or university", max_length=60, initial="support")
    note = forms.CharField(max_length=500, help_text="What the evidence shows; members read it.")
    evidence = forms.FileField(help_text="The document that proves it, of at most 20 MB.")

    def cost(self) -> ManualCost:
        """The cost that was entered. Raises RuleInvalid."""
        data, file = self.cleaned_data, self.cleaned_data["evidence"]
        return ManualCost(
            name=data["name"].strip(),
            month=data["month"],
            charged_month=data["charged_month"],
            amount=data["amount"],
            currency=data["currency"],
            destination=Destination(Kind(data["kind"]), data["key"].strip()),
            note=data["note"],
            evidence=Evidence(name=file.name, media_type=file.content_type or "", content=file.read()),
        )


class PolicyForm(forms.Form):
    """A policy to adopt."""

    issuer = forms.ModelChoiceField(Issuer.objects.all())
    pool_key = forms.CharField(max_length=60, label="Pool")
    method = forms.ChoiceField(choices=[(name, name) for name in (*map(str, METHODS), RECOVERABLE)])
    basis = forms.ChoiceField(required=False, choices=[("", "none"), *((name, name) for name in BASES)])
    parameters = JsonField(
        required=False,
        help_text='{"percentages": {"ubc": "60", "mcgill": "40"}}, {"tiers": {"small": "1"}}, {"capacity": "1000"}, '
        '{"feeds": {"support": "20"}} (in percent, the rest by the basis), '
        '{"member": "ubc"}, {"floor": "50.00", "cap": "600.00"}',
    )
    month = MonthField(max_length=7, label="From", help_text="The first month it holds in, YYYY-MM.")
    decision = forms.CharField(max_length=500, help_text="Where the members approved it: minutes, a vote, a clause.")

    def wanted(self) -> Wanted:
        """The policy as it was written."""
        data = {name: value for name, value in self.cleaned_data.items() if name != "issuer"}
        return Wanted(**data)


class AcceptForm(forms.Form):
    """Taking responsibility."""

    total = AmountField(label="Type the unattributed total", max_length=60)
    reason = forms.CharField(max_length=1_000, widget=forms.Textarea(attrs={"rows": 3, "cols": 60}))


class ProviderTotalForm(forms.Form):
    """What the provider's invoice says."""

    total = AmountField(label="Total of the provider's invoice, tax included", max_length=40)
    reference = forms.CharField(label="Its number", max_length=200, required=False)


class PositionForm(forms.Form):
    """Where a rule is tried."""

    to = forms.IntegerField(label="Try it as number", min_value=1)
