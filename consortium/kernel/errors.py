"""The root of every error that a person should read."""


class PortalError(Exception):
    """Something was refused, with a sentence for the person who asked.

    `code` is a stable word for programs; `status` is the HTTP answer an edge gives.
    """

    code = "refused"
    status = 409

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Forbidden(PortalError):
    """The person's role does not allow the operation."""

    code = "forbidden"
    status = 403


class Missing(PortalError):
    """Nothing of that name is visible to the person."""

    code = "not_found"
    status = 404


class Invalid(PortalError):
    """A value is not acceptable; `field` says which."""

    code = "invalid"
    status = 422
