"""The admin site of consortium staff: Django's own, inside a staff scope."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from allauth.account.decorators import secure_admin_login
from django.apps import apps
from django.contrib.admin import AdminSite
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from consortium.kernel.tenancy import Scope, enter_scope


@dataclass(frozen=True)
class Waiting:
    """One kind of work on the index: what waits, how many (counted when the page is drawn), and where."""

    label: Any
    count: Callable[[], int]
    url: Callable[[], str]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Pages of one app that belong together, under a name of their own, in this order."""

    name: str
    app: str
    models: tuple[str, ...]


class PortalAdminSite(AdminSite):
    """Every page of the admin site sees all institutions, under the named scope `staff`."""

    site_header = "Interactive Computing Consortium"
    site_title = "Consortium staff"
    index_title = "Work queue"
    waiting: tuple[Waiting, ...] = ()  # the project says what waits: the kernel knows no app
    groups: tuple[Group, ...] = ()  # and which pages belong together

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show what waits for somebody above the list of pages; asked for words (`q`), the pages that they name."""
        sought = request.GET.get("q", "").strip()
        context: dict[str, Any] = {**(extra_context or {}), "sought": sought}
        if sought:
            context["app_list"] = named_by(sought, self.get_app_list(request))
            context["found"] = sum(len(each["models"]) for each in context["app_list"])
        else:
            queue = [{"label": each.label, "count": each.count(), "url": each.url()} for each in self.waiting]
            context |= {"shows_queue": True, "queue": [each for each in queue if each["count"]]}
        return super().index(request, context)

    def app_index(self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None) -> Any:
        """List one app's pages under the app's own name, however they are grouped."""
        title = f"{apps.get_app_config(app_label).verbose_name} administration"
        return super().app_index(request, app_label, {"title": title, **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Return the pages that `request` may see by group, then what no group names by app."""
        found: list[dict[str, Any]] = super().get_app_list(request, app_label)
        return [part for app in found for part in self._grouped(app)]

    def _grouped(self, app: dict[str, Any]) -> Iterator[dict[str, Any]]:
        left = {model["object_name"]: model for model in app["models"]}
        for group in self.groups:
            if group.app == app["app_label"]:
                models = [left.pop(name) for name in group.models if name in left]
                if models:
                    url = f"{reverse('admin:index')}?{urlencode({'q': group.name})}"
                    yield {**app, "name": group.name, "app_url": url, "models": models}
        if left:
            yield {**app, "models": list(left.values())}

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sign in through the portal's own page, second factor included: a password alone opens nothing here."""
        page: Callable[..., HttpResponse] = secure_admin_login(super().login)
        return page(request, extra_context)

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """Wrap each page, login check included, in one transaction with the staff scope."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def scoped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            with transaction.atomic():
                if self.has_permission(request):
                    enter_scope(Scope.STAFF)
                response: Any = inner(request, *args, **kwargs)
                # Rendered here: a lazy queryset would be empty once the scope has ended.
                if hasattr(response, "render") and not response.is_rendered:
                    response.render()
                return response  # type: ignore[no-any-return]

        return scoped


def named_by(sought: str, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups of pages, each with those whose name and group hold every word that is sought, in any case."""
    words = sought.casefold().split()
    kept = []
    for group in groups:
        models = [
            model
            for model in group["models"]
            if all(word in f"{group['name']} {model['name']}".casefold() for word in words)
        ]
        if models:
            kept.append({**group, "models": models})
    return kept
