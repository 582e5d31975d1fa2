"""The base of every API view: one transaction, narrowed to the institution of the caller's token."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from consortium.kernel.tenancy import enter_institution


class TenantView:
    """Mix into a DRF view. `permission` is the word a token must list; rows of others do not exist for it."""

    permission: str = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Run the whole request in one transaction, rendering included."""
        with transaction.atomic():
            response: Any = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
            if hasattr(response, "render") and not response.is_rendered:
                response.render()
            if response.status_code >= 400:
                transaction.set_rollback(True)
            return response  # type: ignore[no-any-return]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """After authentication: narrow to the token's institution and check the permission."""
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        enter_institution(request.user.institution_id)  # type: ignore[union-attr]
        if self.permission not in request.user.permissions:  # type: ignore[union-attr]
            raise PermissionDenied(f"This token does not list the permission {self.permission}.")
