"""What being overdue means for hubs: the ladder is proposed, a person confirms, and hubs come back when it is paid.

The only place that sees both money and hubs. A hub is stopped for one of two causes: the rung "suspended" of its
agreement's ladder, or its agreement being suspended by the consortium. Each stop is a row, so a hub that an operator
stopped is never woken here, and one that we stopped is woken as soon as no cause is left. What cannot be done now, for
a hold, a booked event or other work, is tried again at every run.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

import structlog
from django.db import transaction
from django.utils.translation import gettext as _

from billing.models import HubStop, LapseStep
from billing.standing import (
    MoneyStanding,
    agreements_on,
    agreements_to_look_at,
    confirm_step,
    lift_settled,
    money_standing,
    next_rung,
    propose_step,
)
from consortium.kernel.audit import System
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from members.agreements import agreement_in_force
from members.models import Agreement, Institution, User
from provisioning.lifecycle import act_under_way, resume_hub, retire_hub, suspend_hub
from provisioning.models import Hub

log = structlog.get_logger(__name__)

STANDING: Final = System("standing")
LIVE: Final = ("in_force", "suspended", "terminating")
STOPPABLE: Final = ("running", "degraded")
Cause = Literal["ladder", "agreement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a member stands: one word, the money behind it, and what comes next and when.

    "current", "due_soon", "overdue", "arranged", "escalated", "suspended" (a decision) or "lapsed" (no agreement).
    """

    code: str
    money: MoneyStanding
    next_rung: str  # "" where none follows
    next_on: date | None
    reason: str  # of the decision in force, in the words that were written to the member


def standing_of(institution: Institution, *, at: datetime) -> Standing:
    """Return how a member stands at that instant. Needs its scope."""
    agreement = agreement_in_force(institution.pk, at=at)
    today = local_date(at, agreement.zone if agreement else institution.zone)
    money = money_standing(institution.pk, today=today)
    steps = LapseStep.objects.filter(institution=institution, status="confirmed").order_by("-confirmed_at")
    step = steps.first() if money.rung else None
    following = next_rung(agreement, today=today) if agreement and money.since else None
    code = money.code
    if agreement is None:
        code = "lapsed"
    elif agreement.status == "suspended":
        code = "suspended"
    return Standing(
        code=code,
        money=money,
        next_rung=following[0] if following else "",
        next_on=following[1] if following else None,
        reason=step.reason if step else "",
    )


def enforce_standing(*, at: datetime) -> int:
    """Will do what is due for every live agreement on which anything is late, each by itself; returns the acts.

    Lift what is settled, propose the rung that is due, stop and wake hubs. It may run at any time, twice, or late.
    Opens its own scopes.
    """
    with consortium_scope(Scope.JOB):
        keys = agreements_to_look_at(LIVE, at=at)
    done = 0
    for key in keys:
        try:
            with consortium_scope(Scope.JOB):
                agreement = Agreement.objects.select_related("institution").get(pk=key)
                done += len(lift_settled(agreement, at=at))
                done += propose_step(agreement, at=at) is not None
        except PortalError as refused:
            log.warning("standing.not_enforced", agreement=str(key), error=refused.message)
        except Exception:
            log.exception("standing.not_enforced", agreement=str(key))
    return done + carry_out(at=at)


def confirm_rung(step: LapseStep, *, reason: str, by: User, at: datetime) -> None:
    """Will put a rung in force and begin with what it means for hubs. Raises what billing.standing raises.

    Needs a staff scope; hubs that cannot be stopped now are stopped at a later run.
    """
    confirm_step(step, reason=reason, by=by, at=at)
    if step.rung == "suspended":
        _stop(step.agreement, "ladder", at=at)
    elif step.rung == "retired":
        _retire(step.agreement, reason=step.reason, at=at)


def carry_out(*, at: datetime) -> int:
    """Will bring hubs to where standing wants them: stop, wake, retire; returns how many acts were begun.

    Opens its own scopes.
    """
    with consortium_scope(Scope.JOB):
        stopped = set(agreements_on(["suspended", "retired"]))
        suspended = set(Agreement.objects.filter(status="suspended").values_list("pk", flat=True))
        done = sum(_stop(row, "ladder", at=at) for row in _agreements(stopped))
        done += sum(_stop(row, "agreement", at=at) for row in _agreements(suspended - stopped))
        done += sum(_retire(row, reason="", at=at) for row in _agreements(set(agreements_on(["retired"]))))
        for stop in HubStop.objects.filter(woken_at=None).exclude(agreement__in=stopped | suspended):
            done += _wake(stop, at=at)
    return done


def what_it_means(step: LapseStep) -> list[tuple[str, str]]:
    """Return each hub of the member with what the rung would do to it, for the person who confirms."""
    words = {
        "notice": "goes on",
        "read_only": "goes on; nothing may be requested or changed",
        "suspended": "stops; files and settings stay",
        "retired": "is exported, ended and certified; there is no way back",
    }
    hubs = Hub.objects.filter(institution_id=step.institution_id).exclude(status__in=["retired", "declined"])
    return [(hub.name, f"{hub.status}: {words[step.rung]}") for hub in hubs.order_by("slug")]


def _agreements(keys: Iterable[UUID]) -> list[Agreement]:
    return list(Agreement.objects.filter(pk__in=list(keys)).select_related("institution").order_by("pk"))


def _stop(agreement: Agreement, cause: Cause, *, at: datetime) -> int:
    """Want each hub that runs to be stopped; one that cannot be now is tried again later."""
    reason = _("Invoices are overdue.") if cause == "ladder" else _("The service agreement is suspended.")
    done = 0
    for hub in Hub.objects.filter(institution_id=agreement.institution_id, status__in=STOPPABLE):
        if HubStop.objects.filter(hub_id=hub.pk, woken_at=None).exists():
            continue  # wanted already; its job goes on by itself
        try:
            with transaction.atomic():
                suspend_hub(hub, reason=str(reason), by=STANDING, at=at)
                HubStop.objects.create(
                    institution_id=hub.institution_id, agreement=agreement, hub_id=hub.pk, cause=cause, stopped_at=at
                )
        except PortalError as refused:
            log.info("standing.hub_waits", hub=str(hub.pk), error=refused.message)
        else:
            done += 1
    return done


def _wake(stop: HubStop, *, at: datetime) -> int:
    """Want a hub that we stopped to be awake; one that is still being stopped is tried again later."""
    hub = Hub.objects.filter(pk=stop.hub_id).first()
    if hub is not None and (act_under_way(hub) is not None or hub.status not in ("suspended", "retiring", "retired")):
        if act_under_way(hub) is not None:
            return 0
        HubStop.objects.filter(pk=stop.pk).update(woken_at=at)  # somebody woke it already
        return 0
    try:
        with transaction.atomic():
            HubStop.objects.filter(pk=stop.pk, woken_at=None).update(woken_at=at)
            if hub is None or hub.status != "suspended":
                return 0
            resume_hub(hub, by=STANDING, at=at)
    except PortalError as refused:
        log.info("standing.hub_waits", hub=str(stop.hub_id), error=refused.message)
        return 0
    return 1


def _retire(agreement: Agreement, *, reason: str, at: datetime) -> int:
    done = 0
    for hub in Hub.objects.filter(institution_id=agreement.institution_id, status="suspended"):
        try:
            with transaction.atomic():
                words = reason or str(_("Invoices stayed unpaid through every step of the agreement."))
                retire_hub(hub, reason=words, by=STANDING, at=at)
        except PortalError as refused:
            log.info("standing.hub_waits", hub=str(hub.pk), error=refused.message)
        else:
            done += 1
    return done
