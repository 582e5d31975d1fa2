"""Pages behind the agreement's admin: editing a draft, comparing revisions, publishing the next template."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members import agreements
from members.agreement_pages import Comparison, revision_comparisons
from members.agreements.differences import differences
from members.agreements.drafting import LONGEST, TEXTS
from members.forms import show_refusal
from members.models import AgreementRevision, AgreementTemplate
from members.permissions import Permission
from members.schedule import Schedule, ScheduleTemplate
from members.schedule_form import ScheduleForm, initial_of
from members.staff_admin import StaffAdmin, held_by

DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class TextsForm(ScheduleForm):
    """Titles and clauses in both languages, and the schedule."""

    title_en = forms.CharField(label="English title", max_length=200)
    title_fr = forms.CharField(label="French title", max_length=200)
    clauses_en = forms.CharField(
        label="English clauses (Markdown)", max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 24, "cols": 110})
    )
    clauses_fr = forms.CharField(
        label="French clauses (Markdown)", max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 24, "cols": 110})
    )

    def texts(self) -> dict[str, str]:
        """What was typed as titles and clauses."""
        return {name: self.cleaned_data[name] for name in TEXTS}

    def sections(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields by the part of the agreement that they belong to, in order."""
        parts: dict[str, list[forms.BoundField]] = {}
        paths = {term.name: term.path for term in self.terms}
        for bound in self:
            route = paths.get(bound.name)
            head = "Text" if route is None else route[0].replace("_", " ").capitalize() if len(route) > 1 else "Terms"
            parts.setdefault(head, []).append(bound)
        return list(parts.items())


class DraftForm(TextsForm):
    """A draft of an agreement."""

    starts_on = forms.DateField(label="First day", widget=DATE)
    ends_on = forms.DateField(label="Last day (empty: open)", required=False, widget=DATE)
    note = forms.CharField(label="What was changed, and why", required=False, max_length=500)


def edit_page(page: StaffAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    """Edit a draft; what is wrong is named at its field, and what was typed stays."""
    row = _row(page, request, pk)
    if Permission.REVIEW_APPLICATIONS not in held_by(request) or row.status != "draft":
        raise PermissionDenied
    stored = Schedule.parse(row.schedule)
    last_day = row.ends_on - timedelta(days=1) if row.ends_on else None
    initial = {
        **initial_of(stored),
        **{name: getattr(row, name) for name in TEXTS},
        "starts_on": row.starts_on,
        "ends_on": last_day,
    }
    form = DraftForm(request.POST or None, model=Schedule, initial=initial)
    if request.method == "POST" and form.is_valid() and form.parsed is not None:
        last_day = form.cleaned_data["ends_on"]
        try:
            agreements.edit_draft(
                row,
                texts=form.texts(),
                schedule=form.parsed.model_copy(update={"version": stored.version}),
                starts_on=form.cleaned_data["starts_on"],
                ends_on=last_day + timedelta(days=1) if last_day else None,
                note=form.cleaned_data["note"],
                by=request.user,  # type: ignore[arg-type] # staff are people of ours
                at=now(),
            )
        except PortalError as error:
            show_refusal(form, error)
        else:
            page.message_user(request, f"Saved as a new revision: {row}", messages.SUCCESS)
            return redirect("admin:members_agreement_changes", pk)
    back = reverse("admin:members_agreement_change", args=[pk])
    return _form_page(page, request, form, title=f"Edit {row}", back=back, label="Save the revision")


def changes_page(page: StaffAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    """Compare two revisions (by default the last two), and the version with the one that it follows."""
    row = _row(page, request, pk)
    revisions = list(AgreementRevision.objects.filter(agreement=row).select_related("author"))
    numbers = [revision.number for revision in revisions]
    newest = max(numbers, default=0)
    two = _number(request.GET.get("to"), numbers, newest)
    one = _number(request.GET.get("from"), numbers, max(two - 1, min(numbers, default=0)))
    found = []
    if one != two:
        found.append(
            Comparison("revisions", f"From revision {one} to {two}", revision_comparisons(row, one=one, two=two))
        )
    if row.follows is not None:
        found.append(Comparison("version", f"Since {row.follows}", differences(row.follows, row)))
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"Changes of {row}",
        "row": row,
        "revisions": revisions,
        "one": one,
        "two": two,
        "comparisons": found,
        "back": reverse("admin:members_agreement_change", args=[pk]),
    }
    return render(request, "members/admin/agreement_changes.html", context)


def publish_page(page: StaffAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    """Publish the next version of the templates, beginning from one of them."""
    row: AgreementTemplate = _row(page, request, pk)
    if Permission.COUNTERSIGN_AGREEMENT not in held_by(request):
        raise PermissionDenied
    initial = {
        **initial_of(ScheduleTemplate.parse(row.schedule)),
        **{name: getattr(row, name) for name in TEXTS},
    }
    form = TextsForm(request.POST or None, model=ScheduleTemplate, initial=initial)
    if request.method == "POST" and form.is_valid() and isinstance(form.parsed, ScheduleTemplate):
        by: Any = request.user
        try:
            made = agreements.publish_template(issuer=row.issuer, **form.texts(), schedule=form.parsed, by=by, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            page.message_user(request, f"Published: {made}. New members are offered it.", messages.SUCCESS)
            return redirect("admin:members_agreementtemplate_change", made.pk)
    back = reverse("admin:members_agreementtemplate_change", args=[pk])
    return _form_page(page, request, form, title=f"Next version after {row}", back=back, label="Publish")


def _row(page: StaffAdmin, request: HttpRequest, pk: UUID) -> Any:
    row = page.get_object(request, str(pk))
    if row is None:
        raise Http404
    return row


def _number(asked: str | None, known: list[int], default: int) -> int:
    return int(asked) if asked and asked.isdecimal() and len(asked) < 9 and int(asked) in known else default


def _form_page(
    page: StaffAdmin, request: HttpRequest, form: TextsForm, *, title: str, back: str, label: str
) -> HttpResponse:
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": title,
        "form": form,
        "back": back,
        "label": label,
    }
    return render(request, "members/admin/agreement_edit.html", context, status=422 if form.errors else 200)
