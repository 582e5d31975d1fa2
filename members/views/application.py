"""One application: its tasks, a page for each, autosave, the check, and the page that follows it."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members import journey, onboarding, queries
from members.access import AlreadyMember, asked_by
from members.answers import Section, missing_answers, missing_in, section_of
from members.application_forms import SectionForm, section_form
from members.application_summary import Part, parts_of, tasks_of
from members.application_words import SECTION_WORDS
from members.forms import TextForm, show_refusal
from members.models import Application, Institution, User
from members.nominees import unseated
from members.web import View

OPEN_TO_CHANGE = ("draft", "questioned")


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


@applicant_page
def application_form(request: ApplicantRequest) -> HttpResponse:
    """The task list: what is to be answered, and how far it is."""
    application = request.application
    if application.status not in OPEN_TO_CHANGE:
        return redirect("application", pk=application.pk)
    tasks = tasks_of(application)
    context = {
        "application": application,
        "tasks": tasks,
        "done": sum(task.done for task in tasks),
        "complete": all(task.done for task in tasks),
    }
    return render(request, "members/application_tasks.html", context)


@applicant_page
def application_section(request: ApplicantRequest, key: str) -> HttpResponse:
    """One task: saved with its gaps, or complete and on to the next thing."""
    application, section = request.application, _section(key)
    if application.status not in OPEN_TO_CHANGE:
        return redirect("application", pk=application.pk)
    if request.method != "POST":
        return _section_page(request, section, section_form(application, section), 200)
    complete = "save" not in request.POST
    form = section_form(application, section, request.POST, complete=complete)
    member = None
    if form.is_valid():
        try:
            onboarding.save_application(application, values=form.values(), by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
            member = error.institution if isinstance(error, AlreadyMember) else None
        else:
            if not complete:
                messages.success(request, _("Saved. You can come back to it at any time."))
            return redirect(_after(request, complete=complete), pk=application.pk)
    form.require(complete=True)
    return _section_page(request, section, form, 422, member)


def _section(key: str) -> Section:
    section = section_of(key)
    if section is None:
        raise Http404
    return section


def _after(request: ApplicantRequest, *, complete: bool) -> str:
    whole = not missing_answers(request.application)
    return "application_check" if complete and whole and request.application.status == "draft" else "application_form"


def _section_page(
    request: ApplicantRequest, section: Section, form: SectionForm, status: int, member: Institution | None = None
) -> HttpResponse:
    application = request.application
    title, lead = SECTION_WORDS[section.key]
    context = {
        "application": application,
        "section": section,
        "title": title,
        "lead": lead,
        "form": form,
        "form_errors": status == 422,
        "member": member,
        "asked": asked_by(request.user) if member else set(),
        "suggestion": journey.suggest_tier(application.fte, application.currency),
    }
    return render(request, "members/application_section.html", context, status=status)


@require_POST
@applicant_page
def application_autosave(request: ApplicantRequest, key: str) -> HttpResponse:
    """Keep what can be understood of a page that is still being written; say what cannot."""
    application, section = request.application, _section(key)
    form = section_form(application, section, request.POST, complete=False)
    form.is_valid()
    values, problem = form.values(), ""
    try:
        while values:
            try:
                onboarding.save_application(application, values=values, by=request.user, at=now())
                break
            except PortalError as error:
                problem = error.message
                if error.field not in values:
                    break
                del values[error.field]
    finally:
        unsaved = [str(bound.label) for bound in form if bound.errors]
    context = {
        "section": section,
        "unsaved": unsaved,
        "problem": problem,
        "at": now(),
        "zone": application.institution.zone,
        "suggestion": journey.suggest_tier(application.fte, application.currency),
    }
    return render(request, "members/_autosave.html", context)


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
        "parts": parts_of(application, change=True),
        "missing": _missing(application),
        "problem": problem,
        "form_errors": bool(problem),
    }
    return render(request, "members/application_check.html", context, status=status)


def _missing(application: Application) -> list[dict[str, object]]:
    """The tasks with gaps, as links to where they are filled."""
    parts: list[Part] = parts_of(application)
    return [
        {"title": part.title, "url": reverse("application_section", args=[application.pk, part.section.key])}
        for part in parts
        if missing_in(application, part.section)
    ]


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
    agreement = journey.newest_agreement(row)
    context = {
        "application": row,
        "standing": journey.standing_of(row, agreement),
        "steps": journey.steps_of(row, agreement),
        "events": queries.timeline(row),
        "questions": queries.open_questions(row),
        "parts": parts_of(row),
        "form": form,
        "form_errors": status == 422,
        "agreement": agreement if agreement and agreement.status != "draft" else None,
        "unseated": unseated(row),
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
