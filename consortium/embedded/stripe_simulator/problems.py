"""Refusals in the shape in which Stripe words them."""

from __future__ import annotations

from typing import Any


class StripeRefusalError(Exception):
    """A request that is refused. `kept` says whether an idempotency key remembers the refusal, as Stripe does once an
    operation began; a request that fails validation leaves its key free.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        kept: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status, self.kept = status, kept
        details = {"type": kind, "message": message, "code": code, "param": param, **more}
        self.body = {"error": {name: value for name, value in details.items() if value is not None}}


def missing(kind: str, key: str, *, param: str = "id") -> StripeRefusalError:
    """The object does not exist."""
    return StripeRefusalError(f"No such {kind}: '{key}'", status=404, code="resource_missing", param=param)


def required(param: str) -> StripeRefusalError:
    """A parameter was left out."""
    return StripeRefusalError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid(param: str, message: str) -> StripeRefusalError:
    """A parameter has a value that is not allowed."""
    return StripeRefusalError(message, code="parameter_invalid", param=param)


def unknown(params: list[str]) -> StripeRefusalError:
    """Parameters that the endpoint does not have."""
    names = ", ".join(params)
    return StripeRefusalError(f"Received unknown parameters: {names}", code="parameter_unknown", param=params[0])
