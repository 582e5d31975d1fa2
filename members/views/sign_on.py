"""The page where an institution sets up its sign-on, tests it, turns it on and requires it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.language import bilingual
from members.domains import verified_domains
from members.forms import show_refusal
from members.models import SignOn, SignOnTest
from members.permissions import Permission
from members.sign_on import addresses, configuring, saml
from members.sign_on.errors import SignOnRefused
from members.sign_on.forms import AffiliationForm, SignOnForm, initial_of
from members.sign_on.leaving import leave
from members.sign_on_states import SIGN_ON
from members.web import MemberRequest, institution_page

TONES = {"draft": "neutral", "tested": "info", "enabled": "success", "enforced": "success"}
ACTS: Final[dict[str, Callable[..., None]]] = {
    "enable": configuring.enable_sign_on,
    "enforce": configuring.enforce_sign_on,
    "relax": configuring.relax_sign_on,
    "stop": configuring.stop_sign_on,
}


def _labels(status: str) -> str:
    return {
        "draft": _("In preparation"),
        "tested": _("Tested, not turned on"),
        "enabled": _("On"),
        "enforced": _("On and required"),
    }[status]


def _kind(kind: str) -> str:
    return {"saml": _("SAML 2.0"), "cilogon": "CILogon", "oidc": _("OpenID Connect")}[kind]


def missing_words(words: list[str]) -> list[str]:
    """What a test missed, as people read it, with the attribute that mends it."""
    known = {
        "subject": _("A stable id of the person: subject-id, or the claim sub"),
        "email": _("The e-mail address: mail, or the claim email"),
        "name": _("The name: displayName, or the claim name"),
        "affiliation": _("The affiliation with its scope: eduPersonScopedAffiliation"),
        "idp": _("Your university: another identity provider answered through CILogon"),
    }
    return [known[word] for word in words]


def _row(sign_on: SignOn | None) -> dict[str, Any] | None:
    if sign_on is None:
        return None
    test = SignOnTest.objects.filter(sign_on=sign_on).select_related("by").first()
    return {
        "sign_on": sign_on,
        "kind": _kind(sign_on.kind),
        "label": _labels(sign_on.status),
        "tone": TONES[sign_on.status],
        "next_step": bilingual(SIGN_ON.state(sign_on.status), "next"),
        "test": test,
        "test_is_current": test is not None and test.digest == sign_on.digest,
        "missing": missing_words(test.missing) if test else [],
        "certificates_end": configuring.certificates_end(sign_on),
    }


@institution_page(Permission.MANAGE_SIGN_ON)
def sign_on(request: MemberRequest) -> HttpResponse:
    """Where sign-on stands, and what is next."""
    pk = request.institution.pk
    live, prepared = configuring.live_sign_on(pk), configuring.open_sign_on(pk)
    current = live or prepared
    form = AffiliationForm(initial={"affiliations": current.join_affiliations if current else []})
    return render(
        request,
        "members/sign_on.html",
        {
            "institution": request.institution,
            "live": _row(live),
            "prepared": _row(prepared),
            "domains": sorted(verified_domains(pk)),
            "may_choose": Permission.MANAGE_PEOPLE in request.permissions,
            "form": form,
            "addresses": _addresses(request),
        },
    )


def _addresses(request: MemberRequest) -> list[dict[str, str]]:
    institution = request.institution
    return [
        {"label": _("Redirect address (OpenID Connect, CILogon)"), "value": addresses.redirect_uri(institution)},
        {"label": _("Entity id and metadata (SAML)"), "value": addresses.entity_id(institution)},
        {"label": _("Assertion consumer service (SAML)"), "value": addresses.acs_url(institution)},
    ]


@institution_page(Permission.MANAGE_SIGN_ON)
def sign_on_form(request: MemberRequest) -> HttpResponse:
    """Enter or change the identity provider."""
    pk = request.institution.pk
    row = configuring.open_sign_on(pk) or configuring.live_sign_on(pk)
    form = SignOnForm(request.POST or None, initial=initial_of(row))
    if request.method == "POST" and form.is_valid():
        try:
            _save(request, form.cleaned_data, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("Saved. Test it now: what people use does not change before you turn it on."))
            return redirect("sign_on", slug=request.institution.slug)
    form.show_needed(stored_secret=row is not None and bool(row.sealed_secret))
    context = {
        "institution": request.institution,
        "form": form,
        "form_errors": bool(form.errors),
        "addresses": _addresses(request),
        "live": configuring.live_sign_on(pk),
    }
    return render(request, "members/sign_on_form.html", context, status=422 if form.errors else 200)


def _save(request: MemberRequest, values: dict[str, Any], *, at: datetime) -> SignOn:
    secret, metadata = values.pop("secret"), values.pop("metadata")
    if metadata.strip() and values["kind"] == "saml":
        values |= saml.read_metadata(metadata)
    if values["kind"] == "cilogon":
        values["issuer"] = ""  # the field is not shown then: what stands in it belongs to another protocol
    return configuring.save_sign_on(
        institution=request.institution, values=values, secret=secret, by=request.user, at=at
    )


@require_POST
@institution_page(Permission.MANAGE_SIGN_ON)
def sign_on_act(request: MemberRequest, pk: UUID, act: str) -> HttpResponse:
    """Turn on, require, allow passwords again, or turn off."""
    row = get_object_or_404(SignOn.objects.select_related("institution"), pk=pk, institution=request.institution)
    if act not in ACTS:
        raise Http404
    try:
        ACTS[act](row, by=request.user, at=now())
    except PortalError as error:
        messages.error(request, error.message)
    else:
        done = {
            "enable": _("Sign-on is on. The owners were told."),
            "enforce": _("Sign-on is required now. The owners were told."),
            "relax": _("Passwords are allowed again beside sign-on."),
            "stop": _("That configuration is off."),
        }
        messages.success(request, done[act])
    return redirect("sign_on", slug=request.institution.slug)


@require_POST
@institution_page(Permission.MANAGE_PEOPLE)
def sign_on_affiliations(request: MemberRequest) -> HttpResponse:
    """Choose who becomes a viewer at the first sign-in."""
    form = AffiliationForm(request.POST)
    pk = request.institution.pk
    rows = [row for row in (configuring.live_sign_on(pk), configuring.open_sign_on(pk)) if row]
    if form.is_valid() and rows:
        for row in rows:
            configuring.choose_affiliations(
                row, affiliations=form.cleaned_data["affiliations"], by=request.user, at=now()
            )
        messages.success(request, _("Saved. It counts from each person's next sign-in."))
    else:
        messages.error(request, _("Only faculty, staff and employees can join by themselves."))
    return redirect("sign_on", slug=request.institution.slug)


@require_safe
@institution_page(Permission.MANAGE_SIGN_ON)
def sign_on_test(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Go to the identity provider for a test: it signs nobody in, and shows what was released."""
    row = get_object_or_404(SignOn.objects.select_related("institution"), pk=pk, institution=request.institution)
    try:
        return leave(request, row, purpose="test", at=now())
    except SignOnRefused as error:
        messages.error(request, f"{error.message} ({error.reason})")
        return redirect("sign_on", slug=request.institution.slug)
