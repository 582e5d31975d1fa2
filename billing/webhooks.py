"""The door at which the payment provider knocks: prove, keep, answer; a worker does the rest."""

from typing import Final

import structlog
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.gateways import WebhookRefusedError
from billing.payments import receive_event
from consortium.kernel.clock import now

log = structlog.get_logger(__name__)

LARGEST_BODY: Final = 256 * 1024


@csrf_exempt  # the signature proves the sender
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Answer 200 once the message is kept, copies too; 4xx with the reason to what proves nothing, which is not kept.

    A log line names the reason, and nothing of what was sent.
    """
    try:
        _check_envelope(request)
        receive_event(request.body, request.headers.get("Stripe-Signature", ""), at=now())
    except WebhookRefusedError as error:
        log.warning("webhook.refused", reason=error.code)
        return HttpResponse(f"{error.code}: {error.message}", status=error.status, content_type="text/plain")
    return HttpResponse("kept", content_type="text/plain")


def _check_envelope(request: HttpRequest) -> None:
    """Refuse by its envelope what the provider never sends, before a byte of it is read."""
    if request.content_type != "application/json":
        raise WebhookRefusedError("The provider sends JSON, and nothing else.", code="webhook_content_type", status=415)
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal() or int(length) > LARGEST_BODY:
        raise WebhookRefusedError(
            "The message is larger than any that the provider sends.", code="webhook_oversize", status=413
        )
