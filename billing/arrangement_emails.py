"""Mails about payment arrangements: to the member's finance people and owners, and to ours when one is broken."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.arrangements import MAIL
from billing.models import PaymentArrangement
from consortium.kernel.formats import day_text, money_text
from consortium.kernel.language import bilingual
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import Seat, User
from members.permissions import Permission
from members.queries import owners_of, staff_with
from members.roles import Role


@receiver(MAIL)
def mail_arrangement(event: AuditEvent) -> None:
    """Tell the member what was agreed, and how it ended; our people too where it was broken."""
    arrangement = PaymentArrangement.objects.select_related("institution").get(pk=UUID(event.object_id))
    step = event.action.removeprefix("billing.arrangement_")
    finance = Seat.objects.filter(
        institution_id=arrangement.institution_id, role=Role.FINANCE, ended_at=None, user__is_active=True
    )
    people = {seat.user for seat in finance.select_related("user")} | set(owners_of(arrangement.institution_id))
    for person in sorted(people, key=lambda each: each.email):
        _write(event, arrangement, step, person, ("invoices", arrangement.institution.slug))
    if step == "broken":
        for person in staff_with(Permission.ISSUE_INVOICES):
            _write(event, arrangement, step, person, ("admin:billing_paymentarrangement_change", arrangement.pk))


def _write(
    event: AuditEvent, arrangement: PaymentArrangement, step: str, person: User, page: tuple[object, ...]
) -> None:
    language = person.language

    def money(amount: object) -> str:
        return money_text(amount, arrangement.currency, language=language, code=True)  # type: ignore[arg-type]

    with translation.override(language):
        url = settings.PUBLIC_URL + reverse(str(page[0]), args=page[1:])
    known = {
        "person": person,
        "step": step,
        "university": bilingual(arrangement.institution, "name", language),
        "total": money(arrangement.total),
        "parts": [(day_text(part.due_on, language=language), money(part.amount)) for part in arrangement.parts.all()],
        "url": url,
    }
    compose(
        event, recipient=person.email, template="billing_arrangement", language=language, context=known, at=event.at
    )
