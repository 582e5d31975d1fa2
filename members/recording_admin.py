"""Admin pages of rows that one function of the domain writes from a form of their own, and nobody edits afterwards."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from consortium.kernel.errors import PortalError
from members.forms import show_refusal
from members.models import User
from members.staff_admin import StaffAdmin


class RecordingAdmin(StaffAdmin):
    """Rows that are added through `record` by who holds `editor`, and never changed."""

    form_class: ClassVar[type[forms.BaseForm]]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody: what was recorded stays."""
        return False

    def record(self, *, by: User, **wanted: Any) -> Any:
        """Call the domain with what was asked; returns the row. Raises PortalError."""
        raise NotImplementedError

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask, record, or say what is wrong with the inputs kept."""
        del form_url, extra_context
        if not self.has_add_permission(request) or not isinstance(request.user, User):
            raise PermissionDenied
        form = self.form_class(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                row = self.record(by=request.user, **form.cleaned_data)
            except PortalError as error:
                show_refusal(form, error)
            else:
                self.message_user(request, f"Recorded: {row}", messages.SUCCESS)
                return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", row.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Record {self.opts.verbose_name}",
            "form": form,
            "back": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
        }
        return render(request, "members/admin/record.html", context, status=422 if form.errors else 200)
