"""Staff pages of the service level: incidents, maintenance, statements, and the questions that universities ask."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members.forms import show_refusal
from members.models import User
from members.permissions import Permission
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
    extra = 0
    can_delete = False
    fields = readonly_fields = ("at", "status", "text_en", "text_fr", "author")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Updates come from acts."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """All staff."""
        return bool(request.user.is_active and request.user.is_staff)


class DomainForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker alone
    """A form whose row is written by a function of the domain, so that what it refuses is shown beside the field.

    The admin site runs it in a transaction, and there is nothing beneath the row that could fail later.
    """

    by: ClassVar[User]
    write: ClassVar[Callable[..., Any]]
    written: Any = None

    def clean(self) -> dict[str, Any]:
        """Write the row once everything else is right."""
        values: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self.written = type(self).write(**values, by=self.by, at=now())
            except PortalError as refused:
                show_refusal(self, refused)
        return values


class DomainAdmin(StaffAdmin):
    """Rows that are added through a `DomainForm` and not edited afterwards: more is told, or it is called off."""

    editor = Permission.OPERATE_HUBS

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits what was told."""
        return obj is None and super().has_change_permission(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Tell the form who writes."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.by = request.user
        return form

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """Hand on the row that the domain wrote."""
        super().save_form(request, form, change)
        return form.written

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """It is saved, and audited, already."""


class IncidentForm(DomainForm):
    """A new incident with the first thing that is said of it."""

    write = staticmethod(open_incident)
    text_en = forms.CharField(label="English", max_length=5_000, widget=forms.Textarea(attrs={"rows": 4}))
    text_fr = forms.CharField(label="French", max_length=5_000, widget=forms.Textarea(attrs={"rows": 4}))

    class Meta:
        model = Incident
        fields = ("title_en", "title_fr", "hub_slugs", "started_at", "excluded_as")


@admin.register(Incident)
class IncidentAdmin(DomainAdmin, ActingAdmin):
    """What the status page tells."""

    list_display = ("title_en", "status", "started_at", "resolved_at", "hub_slugs", "excluded_as")
    list_filter = ("status", "excluded_as")
    date_hierarchy = "started_at"
    inlines = (UpdateInline,)
    form = IncidentForm

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """A new incident has no updates yet."""
        return super().get_inlines(request, obj) if obj is not None else ()

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


class MaintenanceForm(DomainForm):
    """Work that is announced."""

    write = staticmethod(announce_maintenance)

    class Meta:
        model = Maintenance
        fields = ("cluster", "title_en", "title_fr", "text_en", "text_fr", "starts_at", "ends_at")


@admin.register(Maintenance)
class MaintenanceAdmin(DomainAdmin):
    """Announced work. Announced 72 hours ahead, it does not count in the service level."""

    list_display = ("title_en", "cluster", "starts_at", "ends_at", "announced_at", "cancelled_at")
    date_hierarchy = "starts_at"
    form = MaintenanceForm
    actions = ("cancel",)

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
