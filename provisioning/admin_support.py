"""Staff pages of support: the queue by due time, one request with its thread, and the acts that answer."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import F, Min, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from consortium.kernel.clock import now
from consortium.kernel.uploads import as_download, bounded_upload
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin, StaffAdmin
from provisioning.models import ClosedDay, SupportClock, SupportMessage, SupportRequest
from provisioning.support.attachments import LARGEST_IN_ALL, file_of, files_of
from provisioning.support.exports import support_csv
from provisioning.support.forms import LONG, FilesField
from provisioning.support.page import clock_view
from provisioning.support.talking import answer, change_severity, note
from provisioning.support.terms import support_terms
from provisioning.support.watching import near_clocks

LIVE = ("open", "answered", "waiting")
_MARKS = {"late": "■ late", "near": "▲ soon", "running": "●"}


class AnswerForm(forms.Form):
    """What the university reads, and what follows from it."""

    text = forms.CharField(max_length=LONG, widget=forms.Textarea(attrs={"rows": 8}))
    to = forms.ChoiceField(
        label="Then",
        choices=[
            ("answered", "we work on it, and owe news"),
            ("waiting", "we wait for the university; no clock runs"),
            ("resolved", "it is resolved"),
        ],
    )
    attachments = FilesField()


class NoteForm(forms.Form):
    """What only staff read."""

    text = forms.CharField(max_length=LONG, widget=forms.Textarea(attrs={"rows": 6}))
    attachments = FilesField()


class SeverityForm(forms.Form):
    """Another severity, and why; the university reads it."""

    severity = forms.CharField(max_length=60, label="Code of the severity, from the list above")
    text = forms.CharField(max_length=LONG, label="Why", widget=forms.Textarea(attrs={"rows": 4}))


def _severities(request: SupportRequest) -> list[tuple[str, object]]:
    terms = support_terms(request.institution_id, request.hub, at=now())
    return [
        (each.code, f"{each.name_en}: first answer {each.response_hours or '–'} h, news {each.update_hours or '–'} h")
        for each in terms.severities
    ]


def _newest(request: SupportRequest) -> list[tuple[str, object]]:
    rows = request.messages.select_related("author").order_by("-at", "-id")[:3]
    return [(f"{each.author} ({each.side}), {each.at:%Y-%m-%d %H:%M} UTC", each.text) for each in rows]


class DueFilter(admin.SimpleListFilter):
    """Whose promise is nearly due, or broken."""

    title = "next word"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """What may be chosen."""
        return [("near", "due soon, or late")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[SupportRequest]") -> "QuerySet[SupportRequest]":  # noqa: ARG002
        """Keep those with a clock near its end."""
        if self.value() != "near":
            return queryset
        return queryset.filter(pk__in=near_clocks(at=now()).values("request"))


class ReadInline(admin.TabularInline):  # type: ignore[type-arg] # generic to the type checker alone
    """Rows beneath a request, which come from acts."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody adds by hand."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """All staff."""
        return bool(request.user.is_active and request.user.is_staff)


class MessageInline(ReadInline):
    """What was said, staff's notes too."""

    model = SupportMessage
    fields = readonly_fields = ("at", "side", "author", "internal", "status", "text", "sent")

    @admin.display(description="files")
    def sent(self, message: SupportMessage) -> SafeString | str:
        """Links that download."""
        links = [
            (reverse("admin:provisioning_supportrequest_file", args=[message.request_id, each.pk]), each.name)
            for each in files_of([message])
        ]
        return format_html_join(", ", '<a href="{}" download>{}</a>', links) or "–"


class ClockInline(ReadInline):
    """The clocks that ran."""

    model = SupportClock
    fields = readonly_fields = ("kind", "started_at", "due_at", "stopped_at", "stopped_by")


@admin.register(SupportRequest)
class SupportRequestAdmin(ActingAdmin):
    """What universities ask, the most urgent first."""

    list_display = ("reference", "title", "institution", "severity_en", "status", "due", "opened_at", "opened_by")
    list_filter = (DueFilter, "status", "severity", "hub")
    list_select_related = ("hub", "institution", "opened_by")
    search_fields = ("title", "hub__slug", "institution__name_en", "institution__name_fr")
    date_hierarchy = "opened_at"
    inlines = (MessageInline, ClockInline)
    actions = ("export",)
    acts = (
        Act(
            name="answer",
            label="Answer",
            explain="The university gets it by mail. The clock that runs stops.",
            form=AnswerForm,
            run=answer,
            states=LIVE,
            permission=Permission.OPERATE_HUBS,
            preview=_newest,
        ),
        Act(
            name="note",
            label="Note for staff",
            explain="Only consortium staff read it; no clock heeds it.",
            form=NoteForm,
            run=note,
            states=(*LIVE, "resolved"),
            permission=Permission.OPERATE_HUBS,
        ),
        Act(
            name="severity",
            label="Change the severity",
            explain="The university is told. An answer that is due counts from the opening, by the other severity.",
            form=SeverityForm,
            run=change_severity,
            states=LIVE,
            permission=Permission.OPERATE_HUBS,
            preview=_severities,
            initial=lambda request: {"severity": request.severity},
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        """Add the downloads."""
        page = self.admin_site.admin_view(self.file_page)
        name = "provisioning_supportrequest_file"
        return [path("<uuid:pk>/files/<uuid:document>/", page, name=name), *super().get_urls()]

    def file_page(self, request: HttpRequest, pk: UUID, document: UUID) -> HttpResponse:
        """Download a file of a request."""
        row = self.get_object(request, str(pk))
        found = file_of(row, document, internal=True) if row is not None and self.has_view_permission(request) else None
        if found is None:
            raise Http404
        return as_download(found)

    def act_page(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
        """Answer, or refuse what is too large before it is read."""
        page: HttpResponseBase = bounded_upload(LARGEST_IN_ALL)(super().act_page)(request, pk, name)
        assert isinstance(page, HttpResponse)  # noqa: S101 - acts render
        return page

    def get_queryset(self, request: HttpRequest) -> "QuerySet[SupportRequest]":
        """Sort by when the next word is due; those without one come last."""
        rows: QuerySet[SupportRequest] = super().get_queryset(request)
        due = Min("clocks__due_at", filter=Q(clocks__stopped_at=None))
        return rows.annotate(next_due=due).prefetch_related("clocks")

    def get_ordering(self, request: HttpRequest) -> Any:  # noqa: ARG002 - Django's signature
        """The most urgent first."""
        return (F("next_due").asc(nulls_last=True), "-opened_at")

    @admin.display(description="next word due", ordering="next_due")
    def due(self, request: SupportRequest) -> SafeString | str:
        """When, and how near that is."""
        clock = next((each for each in request.clocks.all() if each.stopped_at is None), None)
        if clock is None:
            return "–"
        mark = _MARKS[clock_view(clock, at=now()).state]
        return format_html("{} {}", mark, f"{clock.due_at:%Y-%m-%d %H:%M} UTC")

    @admin.action(description="Export CSV", permissions=["view"])
    def export(self, request: HttpRequest, queryset: "QuerySet[SupportRequest]") -> HttpResponse:  # noqa: ARG002
        """Send the chosen requests as a file for a spreadsheet."""
        return HttpResponse(
            support_csv(queryset, at=now()),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="support.csv"'},
        )


class ClosedDayForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker alone
    """A day still to come: clocks that run keep the due time that they were given."""

    class Meta:
        model = ClosedDay
        fields = ("day", "name_en", "name_fr")

    def clean_day(self) -> Any:
        """Refuse the past."""
        day = self.cleaned_data["day"]
        if day <= now().date():
            raise forms.ValidationError("Choose a day that is still to come.")
        return day


@admin.register(ClosedDay)
class ClosedDayAdmin(StaffAdmin):
    """Days on which business hours do not run."""

    editor = Permission.OPERATE_HUBS
    list_display = ("day", "name_en", "name_fr")
    date_hierarchy = "day"
    form = ClosedDayForm
