"""Staff pages of the service level: incidents, maintenance, statements, and the questions that universities ask."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members.models import User
from members.permissions import Permission
from members.recording_admin import RecordingAdmin
from members.staff_admin import Act, ActingAdmin, StaffAdmin, held_by
from provisioning.models import Incident, IncidentUpdate, Maintenance, ServiceStatement, StatementQuestion, WorkCheck
from provisioning.service_level.incidents import (
    announce_maintenance,
    cancel_maintenance,
    open_incident,
    update_incident,
)
from provisioning.service_level.questions import accept, decline
from provisioning.states import INCIDENT


class UpdateForm(forms.Form):
    """How an incident stands, in both languages."""

    status = forms.ChoiceField(choices=[(state.value, state.value) for state in INCIDENT.states])
    text_en = forms.CharField(label="English", max_length=5_000, widget=forms.Textarea(attrs={"rows": 4}))
    text_fr = forms.CharField(label="French", max_length=5_000, widget=forms.Textarea(attrs={"rows": 4}))


class AnswerForm(forms.Form):
    """What the university reads."""

    answer = forms.CharField(max_length=5_000, widget=forms.Textarea(attrs={"rows": 5}))


class UpdateInline(admin.TabularInline):  # type: ignore[type-arg] # generic to the type checker alone
    """What was said, newest first."""

    model = IncidentUpdate
    template = "admin/read_only_rows.html"
    extra = 0
    can_delete = False
    fields = readonly_fields = ("at", "status", "text_en", "text_fr", "author")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Updates come from acts."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """All staff."""
        return bool(request.user.is_active and request.user.is_staff)


def instant(label: str) -> forms.SplitDateTimeField:
    """A day and a time of it, UTC."""
    widget = forms.SplitDateTimeWidget(date_attrs={"type": "date"}, time_attrs={"type": "time", "step": "1"})
    return forms.SplitDateTimeField(label=f"{label} (UTC)", widget=widget)


class IncidentForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker alone
    """A new incident with the first thing that is said of it."""

    started_at = instant("Started at")
    text_en = forms.CharField(label="English", max_length=5_000, widget=forms.Textarea(attrs={"rows": 4}))
    text_fr = forms.CharField(label="French", max_length=5_000, widget=forms.Textarea(attrs={"rows": 4}))

    class Meta:
        model = Incident
        fields = ("title_en", "title_fr", "hub_slugs", "excluded_as")


@admin.register(Incident)
class IncidentAdmin(RecordingAdmin, ActingAdmin):
    """What the status page tells."""

    list_display = ("title_en", "status", "started_at", "resolved_at", "hub_slugs", "excluded_as")
    list_filter = ("status", "excluded_as")
    date_hierarchy = "started_at"
    inlines = (UpdateInline,)
    editor = Permission.OPERATE_HUBS
    form_class = IncidentForm
    acts = (
        Act(
            name="update",
            label="Tell how it stands",
            explain="The status page and its feed say it at once; “resolved” ends the incident now.",
            form=UpdateForm,
            run=update_incident,
            states=("investigating", "identified", "monitoring"),
            permission=Permission.OPERATE_HUBS,
        ),
    )

    def record(self, *, by: User, **wanted: Any) -> Any:
        """Tell what has happened."""
        return open_incident(**wanted, by=by, at=now())


class MaintenanceForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker alone
    """Work that is announced."""

    starts_at = instant("Starts at")
    ends_at = instant("Ends at")

    class Meta:
        model = Maintenance
        fields = ("cluster", "title_en", "title_fr", "text_en", "text_fr")


@admin.register(Maintenance)
class MaintenanceAdmin(RecordingAdmin):
    """Announced work. Announced 72 hours ahead, it does not count in the service level."""

    list_display = ("title_en", "cluster", "starts_at", "ends_at", "announced_at", "cancelled_at")
    date_hierarchy = "starts_at"
    editor = Permission.OPERATE_HUBS
    form_class = MaintenanceForm
    actions = ("cancel",)

    def record(self, *, by: User, **wanted: Any) -> Any:
        """Announce it."""
        return announce_maintenance(**wanted, by=by, at=now())

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may use the list's actions."""
        return Permission.OPERATE_HUBS in held_by(request)

    @admin.action(description="Call off", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: "QuerySet[Maintenance]") -> None:
        """Call the chosen work off; what cannot be is named with the reason."""
        for row in queryset:
            try:
                cancel_maintenance(row, by=request.user, at=now())  # type: ignore[arg-type] # staff are people
            except PortalError as refused:
                self.message_user(request, f"{row}: {refused.message}", messages.WARNING)
            else:
                self.message_user(request, f"{row} is called off.", messages.SUCCESS)


@admin.register(StatementQuestion)
class StatementQuestionAdmin(ActingAdmin):
    """Results that universities question."""

    list_display = ("statement", "institution", "status", "starts_at", "ends_at", "asked_by", "asked_at")
    list_filter = ("status",)
    list_select_related = ("statement", "institution", "asked_by")
    acts = (
        Act(
            name="accept",
            label="Count again",
            explain="First put right what the evidence rests on (an incident, maintenance). The month is counted again "
            "from what is known now, as a newer version of the statement; the answer goes to the university.",
            form=AnswerForm,
            run=accept,
            states=("open",),
            permission=Permission.OPERATE_HUBS,
        ),
        Act(
            name="decline",
            label="Let it stand",
            explain="The statement stays; the answer goes to the university.",
            form=AnswerForm,
            run=decline,
            states=("open",),
            permission=Permission.OPERATE_HUBS,
        ),
    )


@admin.register(ServiceStatement)
class ServiceStatementAdmin(StaffAdmin):
    """What each hub's month came to, read-only."""

    list_display = ("hub", "month", "version", "result", "availability", "credit", "currency", "made_at")
    list_filter = ("result", "month")
    list_select_related = ("hub",)
    search_fields = ("hub__slug", "institution__name_en")


@admin.register(WorkCheck)
class WorkCheckAdmin(StaffAdmin):
    """Visits of the synthetic user, read-only."""

    list_display = ("at", "hub", "ok", "step", "milliseconds", "error")
    list_filter = ("ok", "step")
    list_select_related = ("hub",)
    date_hierarchy = "at"
