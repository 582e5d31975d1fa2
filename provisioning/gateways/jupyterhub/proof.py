"""The proof that people can work on a hub, step by step, whichever driver made it."""

from provisioning.gateways.base import GatewayError, StepReport
from provisioning.gateways.jupyterhub.student import StudentSession
from provisioning.specs import CHECK_USER

PROOF_SECONDS = 60.0


class SignOnMissingError(GatewayError):
    """Whoever wants to sign in is not led to their university."""

    def __init__(self, url: str) -> None:
        super().__init__(f"the hub at {url} does not lead people to their university's sign-on", permanent=False)


def prove_with_password(url: str, password: str, progress: StepReport) -> None:
    """Signs the synthetic user in by the hub's own form, and has it work. Raises GatewayError."""
    with StudentSession(url) as visitor:
        progress("sign_in", "The synthetic user signs in")
        visitor.sign_in(CHECK_USER, password)
        _work(visitor, progress)


def prove_with_token(url: str, token: str, progress: StepReport) -> None:
    """Sees that the hub leads to its sign-on elsewhere, without going there, and has the synthetic user work.

    Whether the university's own sign-on answers is not the hub's service, so it is not asked. Raises GatewayError.
    """
    with StudentSession(url) as visitor:
        progress("sign_in", "The hub leads to the university's sign-on")
        if not visitor.is_led_elsewhere():
            raise SignOnMissingError(url)
        visitor.use_token(CHECK_USER, token)
        _work(visitor, progress)


def _work(visitor: StudentSession, progress: StepReport) -> None:
    progress("start", "It starts a server")
    visitor.start_server(wait_seconds=PROOF_SECONDS)
    try:
        progress("write", "It writes to its home")
        visitor.write_and_read_back()
    finally:
        visitor.stop_server()
