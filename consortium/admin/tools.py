"""Tools of the admin site: pages of their own beside a list, with a form and tables, for what is no edit of a row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse

from members.models import User
from members.permissions import Permission
from members.staff_admin import ActingAdmin, held_by


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a tool's page."""

    caption: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    empty: str = "Nothing."


class ToolAdmin(ActingAdmin):
    """An admin page with tools: pages of their own beside the list of rows."""

    change_list_template = "billing/admin/tools_list.html"
    tools: ClassVar[tuple[tuple[str, str, Permission], ...]] = ()  # name, label, permission

    def get_urls(self) -> list[URLPattern]:
        """Add each tool's page."""
        pages = [
            path(f"tools/{name}/", self.admin_site.admin_view(self._tool(name, permission)), name=self._name(name))
            for name, _label, permission in self.tools
        ]
        return [*pages, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Offer the tools above the list."""
        held = held_by(request)
        tools = [
            (label, reverse(f"admin:{self._name(name)}"))
            for name, label, permission in self.tools
            if permission in held
        ]
        return super().changelist_view(request, {**(extra_context or {}), "tools": tools})

    def _name(self, tool: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{tool}"

    def _tool(self, name: str, permission: Permission) -> Callable[[HttpRequest], HttpResponse]:
        def page(request: HttpRequest) -> HttpResponse:
            if permission not in held_by(request):
                raise PermissionDenied
            answer: HttpResponse = getattr(self, f"tool_{name}")(request)
            return answer

        return page

    def tool_page(
        self,
        request: HttpRequest,
        *,
        title: str,
        explain: str,
        button: str,
        form: forms.Form,
        tables: Iterable[Table] = (),
        method: str = "post",
    ) -> HttpResponse:
        """Show a tool."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "explain": explain,
            "button": button,
            "form": form,
            "tables": list(tables),
            "method": method,
        }
        return render(request, "billing/admin/tool.html", context, status=422 if form.errors else 200)

    def done(self, request: HttpRequest, words: str) -> HttpResponse:
        """Say what was done, and go back to the list."""
        self.message_user(request, words, messages.SUCCESS)
        return redirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))


def person_of(request: HttpRequest) -> User:
    """Who asks."""
    assert isinstance(request.user, User)  # noqa: S101 - the admin site lets nobody else in
    return request.user
