"""How the admin site treats our staff: what they see and change follows their seats, and every change is audited.

`StaffAdmin` is the base of every app's admin classes. `ActingAdmin` adds acts: a button on a row's page opens a page
that says what will happen and asks what it needs; sending it calls one function of the domain.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse

from consortium.kernel import audit
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from members.forms import show_refusal
from members.models import Institution, User
from members.permissions import Permission, staff_permissions

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:  # generic to the type checker alone
    ModelAdmin = admin.ModelAdmin


def held_by(request: HttpRequest) -> frozenset[Permission]:
    """The staff permissions of who asks, read once per request."""
    held: frozenset[Permission] | None = getattr(request, "staff_permissions", None)
    if held is None:
        held = staff_permissions(request.user)
        request.staff_permissions = held  # type: ignore[attr-defined] # kept for this request
    return held


class StaffAdmin(ModelAdmin):
    """Rows that every staff role may see; `editor` is the permission that may add and change them, None: nobody.

    A superuser (made at the server's command line) may too, to hand out the first staff seats. Nothing is deleted.
    """

    editor: ClassVar[Permission | None] = None

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Every staff role."""
        return bool(held_by(request)) or self._is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Every staff role."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who holds `editor`."""
        return self.editor is not None and (self.editor in held_by(request) or self._is_superuser(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Who holds `editor`."""
        return self.has_add_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody: ends are states or dates."""
        return False

    def save_model(self, request: HttpRequest, obj: models.Model, form: Any, change: bool) -> None:
        """Save, and record which fields changed."""
        super().save_model(request, obj, form, change)
        record_change(request, obj, form.changed_data, made=not change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Save rows beneath another one, and record them too."""
        super().save_formset(request, form, formset, change)
        for obj in formset.new_objects:
            record_change(request, obj, [], made=True)
        for obj, fields in formset.changed_objects:
            record_change(request, obj, fields, made=False)

    @staticmethod
    def _is_superuser(request: HttpRequest) -> bool:
        return isinstance(request.user, User) and request.user.is_active and request.user.is_superuser


def record_change(request: HttpRequest, obj: models.Model, fields: Iterable[str], *, made: bool) -> None:
    """Write the audit event of a row that staff edited by hand."""
    institution_id: UUID | None = obj.pk if isinstance(obj, Institution) else getattr(obj, "institution_id", None)
    meta = obj._meta  # noqa: SLF001 - the model's public name
    audit.record(
        f"{meta.app_label}.{meta.model_name}_{'added' if made else 'changed'}",
        obj,
        by=request.user,
        at=now(),
        institution_id=institution_id,
        after={"fields": ",".join(sorted(fields))},
    )


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something staff may do to a row: offered in `states` to who holds `permission`.

    `run` is called with the row, what the form asked, `by` and `at`; `explain` says what will happen, `preview` shows
    it in figures, `initial` fills the form from the row.
    """

    name: str
    label: str
    explain: str
    form: type[forms.Form]
    run: Callable[..., object]
    states: tuple[str, ...]
    permission: Permission
    preview: Callable[[Any], list[tuple[str, object]]] | None = None
    danger: bool = False
    initial: Callable[[Any], dict[str, Any]] | None = None


class ActingAdmin(StaffAdmin):
    """An admin page with acts."""

    acts: ClassVar[tuple[Act, ...]] = ()
    change_form_template = "members/admin/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the page of each act."""
        page = self.admin_site.admin_view(self.act_page)
        return [path("<uuid:pk>/act/<slug:name>/", page, name=self._act_url_name()), *super().get_urls()]

    def _act_url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_act"

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """The acts that are open now to who asks."""
        return [act for act in self.acts if row.status in act.states and act.permission in held_by(request)]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the row with its acts as buttons."""
        row = self.get_object(request, object_id)
        acts = self.acts_for(request, row) if row is not None else []
        context = {**(extra_context or {}), "acts": acts, "act_url": f"admin:{self._act_url_name()}"}
        return super().change_view(request, object_id, form_url, context)

    def act_page(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
        """Say what will happen, ask, do it."""
        row = self.get_object(request, str(pk))
        if row is None:
            raise Http404
        act = next((act for act in self.acts_for(request, row) if act.name == name), None)
        if act is None:
            raise PermissionDenied
        back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[pk])
        sent = request.method == "POST"
        form = act.form(
            request.POST if sent else None,
            request.FILES if sent else None,
            initial=act.initial(row) if act.initial else None,
        )
        if request.method == "POST" and form.is_valid():
            try:
                act.run(row, **form.cleaned_data, by=request.user, at=now())
            except PortalError as error:
                show_refusal(form, error)
            else:
                self.message_user(request, f"{act.label}: {row}", messages.SUCCESS)
                return redirect(back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{act.label}: {row}",
            "act": act,
            "row": row,
            "preview": act.preview(row) if act.preview else [],
            "form": form,
            "back": back,
        }
        return render(request, "members/admin/act.html", context, status=422 if form.errors else 200)
