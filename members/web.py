"""The door of every page of an institution: who is there, may they, and whose rows the page may see."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase

from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from members.models import Institution, User
from members.permissions import Permission, permissions_at

View = Callable[..., HttpResponseBase]


class MemberRequest(HttpRequest):
    """A request for a page of one institution, by a person with a seat there."""

    user: User
    institution: Institution
    permissions: frozenset[Permission]


def institution_page(
    permission: Permission,
) -> Callable[[Callable[Concatenate[Any, ...], HttpResponseBase]], View]:
    """Open `…/<slug>/…` to people whose role there has `permission`.

    Without a seat the page does not exist (404); with a seat but without the permission it is refused (403). The view
    runs in one transaction that sees this institution's rows only, and gets `request.institution` and
    `request.permissions`; it must return a rendered response.
    """

    def wrap(view: Callable[Concatenate[Any, ...], HttpResponseBase]) -> View:
        @login_required
        @wraps(view)
        def page(request: Any, slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            institution = Institution.objects.filter(slug=slug).first()
            if institution is None:
                raise Http404
            with consortium_scope(Scope.SIGN_IN):
                held = permissions_at(request.user, institution.pk)
            if not held:
                raise Http404
            if permission not in held:
                raise PermissionDenied
            request.institution, request.permissions = institution, held
            with institution_scope(institution.pk):
                return view(request, *args, **kwargs)

        return page

    return wrap
