"""The door at which the payment provider knocks: prove, keep, answer; a worker does the rest."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.gateways import WebhookRefusedError
from billing.payments import receive_event
from consortium.kernel.clock import now


@csrf_exempt  # the signature proves the sender
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Answer 200 once the message is kept, copies too, and 400 to what proves nothing."""
    try:
        receive_event(request.body, request.headers.get("Stripe-Signature", ""), at=now())
    except WebhookRefusedError as error:
        return HttpResponse(error.message, status=400, content_type="text/plain")
    return HttpResponse("kept", content_type="text/plain")
