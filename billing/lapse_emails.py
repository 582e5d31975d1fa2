"""Mails of the ladder: to our people about a proposed rung, to owners and finance people about one in force or over."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from billing.models import LapseStep
from billing.models.standing import RUNGS
from billing.standing import MAIL, ladder_of
from consortium.kernel.formats import day_text
from consortium.kernel.language import bilingual
from consortium.kernel.mail import compose
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.models import Seat, User
from members.permissions import Permission
from members.queries import owners_of, staff_with
from members.roles import Role


@receiver(MAIL)
def mail_lapse(event: AuditEvent) -> None:
    """Tell whose turn it is."""
    step = LapseStep.objects.select_related("institution", "agreement").get(pk=UUID(event.object_id))
    what = event.action.removeprefix("billing.lapse_")
    if what == "proposed":
        for person in staff_with(Permission.DECIDE_STANDING):
            _write(event, step, person, "billing_lapse_proposed", ("admin:billing_lapsestep_change", step.pk))
        return
    finance = Seat.objects.filter(
        institution_id=step.institution_id, role=Role.FINANCE, ended_at=None, user__is_active=True
    )
    people = {seat.user for seat in finance.select_related("user")} | set(owners_of(step.institution_id))
    template = "billing_lapse" if what == "confirmed" else "billing_lapse_lifted"
    for person in sorted(people, key=lambda each: each.email):
        _write(event, step, person, template, ("invoices", step.institution.slug))


def _write(event: AuditEvent, step: LapseStep, person: User, template: str, page: tuple[object, ...]) -> None:
    language = person.language
    with translation.override(language):
        url = settings.PUBLIC_URL + reverse(str(page[0]), args=page[1:])
    known = {
        "person": person,
        "step": step,
        "university": bilingual(step.institution, "name", language),
        "since": day_text(step.overdue_since, language=language),
        "next": _next(step, language),
        "url": url,
    }
    compose(event, recipient=person.email, template=template, language=language, context=known, at=event.at)


def _next(step: LapseStep, language: str) -> str:
    """The day from which the next rung may be decided, "" after the last."""
    ladder, index = ladder_of(step.agreement), RUNGS.index(step.rung) + 1
    if ladder is None or step.confirmed_on is None or index == len(RUNGS):
        return ""
    return day_text(step.confirmed_on + timedelta(days=ladder.days_before(RUNGS[index])), language=language)
