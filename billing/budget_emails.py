"""The mail that says a month's cost reached a part of the budget: to owners and finance people, in their language."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.budgets import MAIL
from billing.models import BudgetAlert
from consortium.kernel.formats import money_text
from consortium.kernel.language import bilingual
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.kernel.periods import Month
from consortium.models import AuditEvent
from members.models import Seat
from members.roles import Role


@receiver(MAIL)
def mail_budget_alert(event: AuditEvent) -> None:
    """Write to each owner and finance person of the institution."""
    alert = BudgetAlert.objects.select_related("institution", "budget").get(pk=UUID(event.object_id))
    seats = Seat.objects.filter(
        institution=alert.institution, role__in=[Role.OWNER, Role.FINANCE], ended_at=None, user__is_active=True
    )
    people = {seat.user_id: seat.user for seat in seats.select_related("user").order_by("user__email")}
    for person in people.values():
        language = person.language
        with translation.override(language):
            url = f"{settings.PUBLIC_URL}{reverse('costs', args=[alert.institution.slug])}?month={alert.month}"
        compose(
            event,
            recipient=person.email,
            template="billing_budget_alert",
            language=language,
            context={
                "person": person,
                "university": bilingual(alert.institution, "name", language),
                "percent": alert.percent,
                "month": Month.parse(alert.month).label(language),
                "spent": money_text(alert.spent, alert.budget.currency, language=language, code=True),
                "budget": money_text(alert.budget.amount, alert.budget.currency, language=language, code=True),
                "url": url,
            },
            at=event.at,
        )
