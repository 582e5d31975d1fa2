"""The page of a hub's service level: what was promised, what was kept, and the form that questions a result."""

from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, Period
from members.forms import show_refusal
from members.permissions import Permission
from members.web import MemberRequest, institution_page
from provisioning.models import ServiceStatement
from provisioning.queries import hub_of
from provisioning.service_level.questions import ask
from provisioning.service_page import service_view


class _LocalTime(forms.DateTimeInput):
    """The browser's own picker of a day and a time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class QuestionForm(forms.Form):
    """An interval, in the hub's own time zone, and what was seen in it."""

    starts_at = forms.DateTimeField(
        label=gettext_lazy("From"),
        widget=_LocalTime,
    )
    ends_at = forms.DateTimeField(
        label=gettext_lazy("Until"),
        widget=_LocalTime,
    )
    text = forms.CharField(
        label=gettext_lazy("What you saw"),
        max_length=5_000,
        help_text=gettext_lazy("For example: nobody in the nine o'clock class could start a server."),
        widget=forms.Textarea(attrs={"rows": 4}),
    )

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._zone = ZoneInfo(zone)

    def clean(self) -> dict[str, Any]:
        """Read both times in the hub's zone; the end must come after the beginning."""
        values: dict[str, Any] = super().clean() or {}
        for name in ("starts_at", "ends_at"):
            if values.get(name) is not None:
                values[name] = values[name].replace(tzinfo=self._zone)
        starts_at, ends_at = values.get("starts_at"), values.get("ends_at")
        if starts_at and ends_at and starts_at >= ends_at:
            self.add_error("ends_at", _("The end must come after the beginning."))
        return values


@institution_page(Permission.VIEW_SERVICE_LEVEL)
def service_level(request: MemberRequest, hub_slug: str) -> HttpResponse:
    """Show the promise and what was kept; whoever may, questions the month that is shown."""
    hub = hub_of(request.institution, hub_slug)
    if hub is None:
        raise Http404
    at = now()
    view = service_view(hub, month=_month(request), at=at)
    may_ask = Permission.QUESTION_SERVICE_LEVEL in request.permissions and view.shown is not None
    form = QuestionForm(request.POST if request.method == "POST" and may_ask else None, zone=hub.zone)
    if form.is_bound and form.is_valid() and view.shown is not None:
        try:
            _ask(request, view.shown.statement, form)
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("Your question is with the operators; the answer comes by mail."))
            address = reverse("service_level", args=[request.institution.slug, hub.slug])
            return redirect(f"{address}?month={view.shown.month}")
    context = {
        "institution": request.institution,
        "hub": hub,
        "view": view,
        "form": form,
        "form_errors": bool(form.errors),
        "may_ask": may_ask,
    }
    return render(request, "provisioning/service.html", context, status=422 if form.errors else 200)


def _month(request: MemberRequest) -> Month | None:
    text = request.GET.get("month", "")
    if not text:
        return None
    try:
        return Month.parse(text)
    except PortalError as refused:
        raise Http404(refused.message) from None


def _ask(request: MemberRequest, statement: ServiceStatement, form: QuestionForm) -> None:
    values = form.cleaned_data
    interval = Period(values["starts_at"], values["ends_at"])
    ask(statement, interval=interval, text=values["text"], by=request.user, at=now())
