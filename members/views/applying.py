"""Applying: choose the university, answer, check, submit; then the page that follows the application."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import linebreaksbr
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members import onboarding, queries
from members.forms import ApplicationForm, TextForm, show_refusal
from members.models import Application, Institution, User
from members.web import View


class ApplicantRequest(HttpRequest):
    """A request by the applicant of an application."""

    user: User
    application: Application


def applicant_page(view: Callable[..., HttpResponse]) -> View:
    """Open a page of one application to its applicant; to everybody else it does not exist."""

    @login_required
    @wraps(view)
    def page(request: Any, pk: UUID, *args: Any, **kwargs: Any) -> HttpResponse:
        with consortium_scope(Scope.APPLICANT):
            application = queries.own_applications(request.user).filter(pk=pk).first()
            if application is None:
                raise Http404
            request.application = application
            return view(request, *args, **kwargs)

    return page


@login_required
def apply(request: HttpRequest) -> HttpResponse:
    """Choose the university that applies."""
    assert isinstance(request.user, User)  # noqa: S101 - login_required
    problem, status = "", 200
    with consortium_scope(Scope.APPLICANT):
        if request.method == "POST":
            institution = Institution.objects.filter(slug=request.POST.get("institution", "")).first()
            if institution is None:
                raise Http404
            try:
                application = onboarding.start_application(institution=institution, by=request.user, at=now())
            except PortalError as error:
                problem, status = error.message, error.status
            else:
                return redirect("application_form", pk=application.pk)
        text = request.GET.get("q", "")[:100]
        context = {
            "text": text,
            "institutions": queries.search_institutions(text),
            "applications": [(row, queries.standing(row)) for row in queries.own_applications(request.user)],
            "problem": problem,
        }
        return render(request, "members/apply.html", context, status=status)


@applicant_page
def application_form(request: ApplicantRequest) -> HttpResponse:
    """The answers: saved as a draft, or complete and on to the check."""
    application = request.application
    if application.status not in ("draft", "questioned"):
        return redirect("application", pk=application.pk)
    if request.method != "POST":
        return _form_page(request, ApplicationForm(instance=application), 200)
    complete = "continue" in request.POST
    # The form writes to a copy: what is kept is decided by save_application.
    copy = Application.objects.get(pk=application.pk)
    form = ApplicationForm(request.POST, instance=copy, complete=complete)
    if form.is_valid():
        try:
            onboarding.save_application(application, values=form.cleaned_data, by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            if complete:
                return redirect("application_check", pk=application.pk)
            messages.success(request, _("Saved. You can come back to it at any time."))
            return redirect("application", pk=application.pk)
    form.require(complete=True)
    return _form_page(request, form, 422)


def _form_page(request: ApplicantRequest, form: ApplicationForm, status: int) -> HttpResponse:
    context = {"application": request.application, "form": form, "form_errors": status == 422}
    return render(request, "members/application_form.html", context, status=status)


@applicant_page
def application_check(request: ApplicantRequest) -> HttpResponse:
    """Check the answers, then submit."""
    application = request.application
    if application.status != "draft":
        return redirect("application", pk=application.pk)
    problem, status = "", 200
    if request.method == "POST":
        try:
            onboarding.submit_application(application, by=request.user, at=now())
        except PortalError as error:
            problem, status = error.message, 422
        else:
            messages.success(request, _("Submitted. We write to you when there is news."))
            return redirect("application", pk=application.pk)
    context = {
        "application": application,
        "answers": answers(application, change=True),
        "missing": onboarding.missing_answers(application),
        "problem": problem,
        "form_errors": bool(problem),
    }
    return render(request, "members/application_check.html", context, status=status)


@applicant_page
def application(request: ApplicantRequest) -> HttpResponse:
    """Where the application stands, what was said, and what is to do next."""
    row = request.application
    form = TextForm(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        if form.is_valid():
            try:
                onboarding.answer_question(row, text=form.cleaned_data["text"], by=request.user, at=now())
            except PortalError as error:
                show_refusal(form, error)
            else:
                messages.success(request, _("Your answer was sent."))
                return redirect("application", pk=row.pk)
        status = 422
    context = {
        "application": row,
        "standing": queries.standing(row),
        "events": queries.timeline(row),
        "answers": answers(row),
        "form": form,
        "form_errors": status == 422,
        "agreement": queries.agreements_of(row.institution).first() if row.status == "approved" else None,
    }
    return render(request, "members/application.html", context, status=status)


@require_POST
@applicant_page
def application_withdraw(request: ApplicantRequest) -> HttpResponse:
    """Take the application back."""
    try:
        onboarding.withdraw_application(request.application, by=request.user, at=now())
    except PortalError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The application was withdrawn."))
    return redirect("application", pk=request.application.pk)


def answers(application: Application, *, change: bool = False) -> list[dict[str, object]]:
    """The answers as rows of a summary, with links to change them where that is possible."""
    form = ApplicationForm(instance=application)
    url = reverse("application_form", args=[application.pk]) if change else ""
    rows: list[dict[str, object]] = []
    for bound in form:
        value = bound.value()
        if isinstance(value, bool):
            value = _("Yes") if value else _("No")
        choices = dict(getattr(bound.field, "choices", ()))
        shown = choices.get(value, value)
        shown = linebreaksbr(shown) if isinstance(shown, str) else shown
        rows.append({"label": bound.label, "value": shown, "url": f"{url}#{bound.id_for_label}" if url else ""})
    return rows
