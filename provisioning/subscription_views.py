"""The pages of the status page's mails: subscribing, confirming by a link, leaving by a link."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.forms import show_refusal
from provisioning.models import Hub
from provisioning.service_level.status_page import SHOWN_STATES
from provisioning.status_mail.limits import may_ask
from provisioning.status_mail.subscribing import LinkUnknown, ask, confirm, leave, leaving, pending


class SubscribeForm(forms.Form):
    """An address, and the hubs that it is about."""

    email = forms.EmailField(label=gettext_lazy("E-mail address"), max_length=254)
    hubs = forms.MultipleChoiceField(
        label=gettext_lazy("Only these hubs"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Choose none for all."),
    )

    def __init__(self, *args: object, choices: list[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # handed on as they come
        field = self.fields["hubs"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 - declared above
        field.choices = choices


@never_cache
def status_subscribe(request: HttpRequest) -> HttpResponse:
    """Ask for an address; on POST send it a link, or nothing, and say the same in either case."""
    with consortium_scope(Scope.PUBLIC):
        hubs = Hub.objects.filter(status__in=SHOWN_STATES).select_related("institution").order_by("name")
        choices = [(hub.slug, f"{hub.name} ({hub.institution.name})") for hub in hubs]
        form = SubscribeForm(request.POST if request.method == "POST" else None, choices=choices)
        if request.method == "POST" and form.is_valid():
            if not may_ask(request):
                return render(request, "429.html", status=429)
            values = form.cleaned_data
            try:
                ask(email=values["email"], language=get_language() or "en", hub_slugs=values["hubs"], at=now())
            except PortalError as refused:
                show_refusal(form, refused)
            else:
                return render(request, "provisioning/status_asked.html", {"email": values["email"]})
        return render(request, "provisioning/status_subscribe.html", {"form": form}, status=422 if form.errors else 200)


@never_cache
def status_confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Show what the link confirms; on POST confirm it: mail scanners follow links, they press no buttons."""
    with consortium_scope(Scope.PUBLIC):
        try:
            row = (confirm if request.method == "POST" else pending)(token, at=now())
        except LinkUnknown as refused:
            return _secret(render(request, "provisioning/status_link.html", {"problem": refused.message}, status=404))
    done = request.method == "POST"
    return _secret(render(request, "provisioning/status_confirm.html", {"row": row, "done": done}))


# The link is the authority, and a mail program that unsubscribes with one click has no token of a form.
@csrf_exempt
@never_cache
def status_leave(request: HttpRequest, token: str) -> HttpResponse:
    """Show whom the link unsubscribes; on POST delete the address."""
    with consortium_scope(Scope.PUBLIC):
        try:
            row = leaving(token)
            if request.method == "POST":
                leave(token, at=now())
        except LinkUnknown as refused:
            return _secret(render(request, "provisioning/status_link.html", {"problem": refused.message}, status=404))
    gone = row is None or request.method == "POST"
    return _secret(render(request, "provisioning/status_leave.html", {"row": row, "gone": gone}))


def _secret(response: HttpResponse) -> HttpResponse:
    """A page whose address opens something is not indexed, and its address goes nowhere."""
    response["X-Robots-Tag"] = "noindex"
    response["Referrer-Policy"] = "no-referrer"
    return response
