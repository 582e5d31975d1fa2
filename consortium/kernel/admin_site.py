"""The admin site of consortium staff: Django's own, inside a staff scope."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib.admin import AdminSite
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from consortium.kernel.tenancy import Scope, enter_scope


@dataclass(frozen=True)
class Waiting:
    """One kind of work on the index: what waits, how many (counted when the page is drawn), and where."""

    label: Any
    count: Callable[[], int]
    url: Callable[[], str]


class PortalAdminSite(AdminSite):
    """Every page of the admin site sees all institutions, under the named scope `staff`."""

    site_header = "Interactive Computing Consortium"
    site_title = "Consortium staff"
    index_title = "Work queue"
    waiting: tuple[Waiting, ...] = ()  # the project says what waits: the kernel knows no app

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show what waits for somebody above the list of tables."""
        queue = [{"label": each.label, "count": each.count(), "url": each.url()} for each in self.waiting]
        return super().index(request, {**(extra_context or {}), "queue": [each for each in queue if each["count"]]})

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
