"""What a person reads when signing on does not work; the reason goes to the log beside a support id."""

from consortium.kernel.errors import PortalError


class SignOnRefused(PortalError):
    """The answer of the identity provider is not accepted. `reason` is for the log and never shown."""

    code = "sign_on_refused"
    status = 403

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
