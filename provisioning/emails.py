"""Mails about hubs: receivers of the outbox, to the people who asked and to those who decide."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils import translation

from consortium.kernel import mail
from consortium.kernel.formats import money_text
from consortium.kernel.language import bilingual
from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent, Job
from members.models import User
from members.permissions import Permission
from members.queries import owners_of, people_with, staff_with
from provisioning.lifecycle import SUSPEND
from provisioning.models import Hub, SpendingApproval, StatementQuestion
from provisioning.requests import reconcile_job


def _hub(event: AuditEvent) -> Hub:
    return Hub.objects.select_related("institution", "requested_by").get(pk=UUID(event.object_id))


def who_asked(hub: Hub) -> list[User]:
    """The person who asked for the hub; the owners where that person is gone."""
    asked = hub.requested_by
    return [asked] if asked is not None and asked.is_active else list(owners_of(hub.institution_id))


def send_about(
    event: AuditEvent, people: Iterable[User], template: str, hub: Hub, route: str, *args: Any, **more: Any
) -> None:
    """Will queue a mail about a hub for each, in that person's language, with the address of the page at `route`."""
    for person in people:
        with translation.override(person.language):
            page_url = settings.PUBLIC_URL + reverse(route, args=args)
        university = bilingual(hub.institution, "name", person.language)
        mail.compose(
            event,
            recipient=person.email,
            template=template,
            language=person.language,
            context={"person": person, "hub": hub, "university": university, "page_url": page_url, **more},
            at=event.at,
        )


@receiver("provisioning.mail_hub_requested")
def mail_hub_requested(event: AuditEvent) -> None:
    """Tell the operators that a hub waits for approval."""
    hub = _hub(event)
    people = staff_with(Permission.OPERATE_HUBS)
    send_about(event, people, "provisioning_hub_requested", hub, "admin:provisioning_hub_change", hub.pk)


@receiver("provisioning.mail_spending_asked")
def mail_spending_asked(event: AuditEvent) -> None:
    """Ask those who set the budget whether the month may go beyond it."""
    row = SpendingApproval.objects.select_related("hub__institution").get(pk=UUID(event.object_id))
    hub = row.hub
    for person in people_with(row.institution_id, Permission.SET_BUDGET):
        amounts = {
            name: money_text(getattr(row, name), row.currency, language=person.language, code=True)
            for name in ("expected", "estimate", "budget")
        }
        send_about(
            event, [person], "provisioning_spending_asked", hub, "hub", hub.institution.slug, hub.slug, **amounts
        )


@receiver("provisioning.mail_hub_declined")
def mail_hub_declined(event: AuditEvent) -> None:
    """Tell whoever asked that there will be no hub, and why."""
    hub = _hub(event)
    send_about(event, who_asked(hub), "provisioning_hub_declined", hub, "hub", hub.institution.slug, hub.slug)


@receiver("provisioning.mail_hub_ready")
def mail_hub_ready(event: AuditEvent) -> None:
    """Tell whoever asked that the hub can be opened."""
    hub = _hub(event)
    send_about(event, who_asked(hub), "provisioning_hub_ready", hub, "hub", hub.institution.slug, hub.slug)


@receiver("provisioning.mail_hub_failed")
def mail_hub_failed(event: AuditEvent) -> None:
    """Tell whoever asked that the hub could not be set up, why, and what to do."""
    hub = _hub(event)
    job = reconcile_job(hub)
    reason = job.error if job else ""
    people = who_asked(hub)
    send_about(
        event, people, "provisioning_hub_failed", hub, "hub", hub.institution.slug, hub.slug, reason=reason, job=job
    )


@receiver("provisioning.mail_hub_suspended")
def mail_hub_suspended(event: AuditEvent) -> None:
    """Tell the owners that nobody can work on the hub, and why."""
    hub = _hub(event)
    job = Job.objects.filter(kind=SUSPEND, unique_key__startswith=f"{hub.pk}:").order_by("-created_at").first()
    reason = job.arguments.get("reason", "") if job else ""
    people = list(owners_of(hub.institution_id))
    send_about(event, people, "provisioning_hub_suspended", hub, "hub", hub.institution.slug, hub.slug, reason=reason)


@receiver("provisioning.mail_hub_retired")
def mail_hub_retired(event: AuditEvent) -> None:
    """Tell the owners that it is gone, and where their export is."""
    hub = _hub(event)
    people = list(owners_of(hub.institution_id))
    send_about(event, people, "provisioning_hub_retired", hub, "hub", hub.institution.slug, hub.slug)


def _question(event: AuditEvent) -> StatementQuestion:
    rows = StatementQuestion.objects.select_related("statement__hub__institution", "asked_by")
    return rows.get(pk=UUID(event.object_id))


@receiver("provisioning.mail_question")
def mail_question(event: AuditEvent) -> None:
    """Tell the operators that a university questions a result."""
    row = _question(event)
    people = staff_with(Permission.OPERATE_HUBS)
    page = "admin:provisioning_statementquestion_change"
    send_about(event, people, "provisioning_question", row.statement.hub, page, row.pk, question=row)


@receiver("provisioning.mail_answer")
def mail_answer(event: AuditEvent) -> None:
    """Tell whoever asked what the operators answer."""
    row = _question(event)
    hub = row.statement.hub
    send_about(
        event, [row.asked_by], "provisioning_answer", hub, "service_level", hub.institution.slug, hub.slug, question=row
    )
