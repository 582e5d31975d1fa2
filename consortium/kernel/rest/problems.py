"""Errors of the API as RFC 9457 problem documents (application/problem+json)."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from consortium.kernel.errors import PortalError

MEDIA_TYPE = "application/problem+json"


def problem(status: int, code: str, title: str, *, detail: str = "", errors: Any = None) -> Response:
    """Build one problem document: `code` for programs, `title` and `detail` for people."""
    body: dict[str, Any] = {"type": f"about:blank#{code}", "title": title, "status": status, "code": code}
    if detail:
        body["detail"] = detail
    if errors is not None:
        body["errors"] = errors
    return Response(body, status=status, content_type=MEDIA_TYPE)


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:  # noqa: ARG001 - DRF's signature
    """Turn what a view raised into a problem document; None lets Django answer 500."""
    if isinstance(error, PortalError):
        return problem(
            error.status, error.code, error.message, errors={error.field: [error.message]} if error.field else None
        )
    if isinstance(error, Http404):
        return problem(404, "not_found", "Nothing of that name is visible to this token.")
    if isinstance(error, PermissionDenied):
        return problem(403, "forbidden", "This token does not allow the operation.")
    if isinstance(error, exceptions.ValidationError):
        return problem(422, "invalid", "Some values are not acceptable.", errors=error.detail)
    if isinstance(error, exceptions.APIException):
        response = problem(error.status_code, str(error.default_code), str(error.detail))
        if header := getattr(error, "auth_header", None):
            response["WWW-Authenticate"] = header
        return response
    return None
