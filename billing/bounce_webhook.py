"""The door at which a mail provider hands over mail that came back: proven by a shared secret, read, and kept once.

The sender signs the instant and the whole message: `Portal-Signature: t=<seconds>,v1=<hex>`, where the hex digits are
HMAC-SHA256 over `<seconds>.<message>`. While a secret is replaced, either of two may have made it.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.bounces import take_report
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope

log = structlog.get_logger(__name__)

HEADER: Final = "Portal-Signature"
LARGEST_BODY: Final = 2_000_000  # bytes; a report returns at most an invoice's mail with its PDF
MAX_SKEW: Final = 300  # seconds, before or after
SIGNED: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


class BounceRefused(PortalError):
    """The message does not prove its sender, or is none that a mail server sends; nothing of it is kept."""

    code = "bounce_refused"
    status = 401

    def __init__(self, message: str, *, code: str, status: int = 401) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@csrf_exempt  # the signature proves the sender
@require_POST
def mail_webhook(request: HttpRequest) -> HttpResponse:
    """Answer 200 "taken" once a bounce is kept, copies too, and "passed over" to any other mail of the right sender.

    Without MAIL_WEBHOOK_SECRET the door does not exist (404); 4xx with the reason to what proves nothing. A log line
    names the reason, and nothing of what was sent.
    """
    if not settings.MAIL_WEBHOOK_SECRETS:
        return HttpResponse("MAIL_WEBHOOK_SECRET is not set.", status=404, content_type="text/plain")
    at = now()
    try:
        raw = _message(request)
        check_signature(raw, request.headers.get(HEADER, ""), secrets=settings.MAIL_WEBHOOK_SECRETS, at=at)
    except BounceRefused as error:
        log.warning("mail_webhook.refused", reason=error.code)
        return HttpResponse(f"{error.code}: {error.message}", status=error.status, content_type="text/plain")
    with consortium_scope(Scope.WEBHOOK):
        bounce = take_report(raw, at=at)
    return HttpResponse("passed over" if bounce is None else "taken", content_type="text/plain")


def signature_of(raw: bytes, *, secret: str, at: datetime) -> str:
    """Will return the header's value for a message that is signed at that instant."""
    seconds = int(at.timestamp())
    return f"t={seconds},v1={_digest(raw, str(seconds), secret)}"


def check_signature(raw: bytes, header: str, *, secrets: Sequence[str], at: datetime) -> None:
    """Raise BounceRefused unless one of the secrets signed the message within 300 s of `at`, before or after."""
    found = SIGNED.fullmatch(header.strip())
    if found is None:
        raise BounceRefused(f"{HEADER} must read t=<seconds>,v1=<64 hex digits>.", code="bounce_unsigned")
    seconds, given = found.groups()
    fits = [hmac.compare_digest(_digest(raw, seconds, secret), given) for secret in secrets]
    if not any(fits):
        raise BounceRefused(
            "The signature was made with another secret, for another text or for another time.", code="bounce_signature"
        )
    if abs(at.timestamp() - int(seconds)) > MAX_SKEW:
        raise BounceRefused(
            "The message was signed more than 300 seconds ago, or by a clock that is ahead.", code="bounce_skew"
        )


def _digest(raw: bytes, seconds: str, secret: str) -> str:
    return hmac.new(secret.encode(), seconds.encode() + b"." + raw, hashlib.sha256).hexdigest()


def _message(request: HttpRequest) -> bytes:
    """The message, once its envelope is one that a mail provider sends; before that not a byte of it is read."""
    if request.content_type != "message/rfc822":
        raise BounceRefused(
            "Send the report as it came, with the type message/rfc822.", code="bounce_content_type", status=415
        )
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal() or int(length) > LARGEST_BODY:
        raise BounceRefused(
            f"Say the message's length, at most {LARGEST_BODY} bytes.", code="bounce_oversize", status=413
        )
    return request.body
