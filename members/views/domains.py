"""The page of an institution's domains: the record that is expected and the one that is found, side by side."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.language import bilingual
from members import domains as domain_rules
from members.forms import show_refusal
from members.models import Domain
from members.permissions import Permission
from members.sign_on.forms import DomainForm
from members.sign_on_states import DOMAIN
from members.web import MemberRequest, institution_page

TONES = {"pending": "warning", "verified": "success", "lost": "danger"}


def status_words(domain: Domain) -> str:
    """A domain's state, as people read it."""
    if domain.status == "verified" and domain.missing_since:
        return _("Verified, record missing")
    return {"pending": _("To be verified"), "verified": _("Verified"), "lost": _("Lost")}.get(domain.status, "")


def _problem_words(domain: Domain) -> str:
    return {
        "no_name": _("The DNS knows no such name. A new record can take some minutes to be seen."),
        "no_record": _("The name exists, but it has no TXT record."),
        "other_value": _("There is a TXT record, but it says something else. Compare the two, letter by letter."),
        "no_answer": _("The DNS gave no answer. That proves nothing; check again in a few minutes."),
    }.get(domain.problem, "")


def _row(domain: Domain) -> dict[str, object]:
    tone = "warning" if domain.missing_since and domain.status == "verified" else TONES[domain.status]
    return {
        "domain": domain,
        "record_name": domain_rules.record_name(domain),
        "record_value": domain_rules.record_value(domain),
        "label": status_words(domain),
        "tone": tone,
        "problem": _problem_words(domain),
        "next_step": bilingual(DOMAIN.state(domain.status), "next"),
        "lost_on": domain.missing_since + domain_rules.GRACE if domain.missing_since else None,
    }


@institution_page(Permission.MANAGE_SIGN_ON)
def domains(request: MemberRequest) -> HttpResponse:
    """List domains, and add one."""
    form = DomainForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            domain_rules.add_domain(
                institution=request.institution, name=form.cleaned_data["name"], by=request.user, at=now()
            )
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("Added. Publish the TXT record, then check."))
            return redirect("domains", slug=request.institution.slug)
    context = {
        "institution": request.institution,
        "rows": [_row(domain) for domain in domain_rules.listed_domains(request.institution)],
        "suggested": request.institution.domain,
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/domains.html", context, status=422 if form.errors else 200)


def _listed(request: MemberRequest, pk: UUID) -> Domain:
    return get_object_or_404(domain_rules.listed_domains(request.institution), pk=pk)


@require_POST
@institution_page(Permission.MANAGE_SIGN_ON)
def domain_check(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Ask the DNS now."""
    domain = _listed(request, pk)
    try:
        domain_rules.check_domain(domain, by=request.user, at=now())
    except PortalError as error:
        messages.error(request, _problem_words(domain) if domain.problem == "no_answer" else error.message)
    else:
        if domain.status == "verified" and not domain.missing_since:
            messages.success(request, _("%(domain)s is verified.") % {"domain": domain.name})
        else:
            words = {"domain": domain.name, "problem": _problem_words(domain)}
            messages.warning(request, _("%(domain)s: the record was not found. %(problem)s") % words)
    return redirect("domains", slug=request.institution.slug)


@institution_page(Permission.MANAGE_SIGN_ON)
def domain_remove(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Ask, then take a domain off the list."""
    domain = _listed(request, pk)
    if request.method == "POST":
        try:
            domain_rules.remove_domain(domain, by=request.user, at=now())
        except PortalError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _("%(domain)s was removed.") % {"domain": domain.name})
        return redirect("domains", slug=request.institution.slug)
    context = {"institution": request.institution, "domain": domain}
    return render(request, "members/domain_remove.html", context)
