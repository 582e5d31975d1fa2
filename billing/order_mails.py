"""The mail that asks a member for its next purchase order."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.models import PurchaseOrder
from billing.purchase_orders import orders_of, standing_of
from consortium.kernel.formats import day_text, money_text
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.kernel.periods import local_date
from consortium.models import AuditEvent
from members.models import Seat
from members.roles import Role


@receiver("billing.mail_order_renewal")
def mail_order_renewal(event: AuditEvent) -> None:
    """Write to the finance people of the member, to its owners where it has none."""
    order = PurchaseOrder.objects.select_related("institution", "billing_account__issuer").get(pk=UUID(event.object_id))
    today = local_date(event.at, order.billing_account.issuer.zone)
    standing = standing_of(orders_of(order.institution_id).get(pk=order.pk), today=today)
    seats = Seat.objects.filter(institution=order.institution, ended_at=None).select_related("user")
    people = [seat.user for seat in seats.filter(role=Role.FINANCE)] or [
        seat.user for seat in seats.filter(role=Role.OWNER)
    ]
    for person in people:
        language = person.language
        with translation.override(language):
            url = settings.PUBLIC_URL + reverse("purchase_orders", args=[order.institution.slug])
        compose(
            event,
            recipient=person.email,
            template="billing_order_renewal",
            language=language,
            context={
                "number": order.number,
                "payer": order.billing_account.name,
                "left": money_text(standing.left, order.currency, language=language, code=True),
                "amount": money_text(order.amount, order.currency, language=language, code=True),
                "last_day": day_text(order.valid.upper - timedelta(days=1), language=language),
                "url": url,
            },
            at=event.at,
        )
