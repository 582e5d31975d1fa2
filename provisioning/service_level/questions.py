"""A university questions an interval of a statement; an operator answers, and where it is right the month is recounted.

Accepting changes no statement: what the answer rests on (an incident, a maintenance that was entered wrongly) is put
right first, then the month is counted again as a newer version.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid
from consortium.kernel.periods import Month, Period, month_period
from members.models import User
from members.permissions import Permission, check_at, check_staff
from provisioning.models import ServiceStatement, StatementQuestion
from provisioning.service_level.statements import make_statement
from provisioning.states import QUESTION


@transaction.atomic
def ask(statement: ServiceStatement, *, interval: Period, text: str, by: User, at: datetime) -> StatementQuestion:
    """Will put the question to the operators.

    Raises Forbidden, and Invalid for an empty text or an interval that is not of the statement's month.
    """
    check_at(by, Permission.QUESTION_SERVICE_LEVEL, statement.institution_id)
    if not text.strip():
        raise Invalid(_("Say what you saw: the operators look at the evidence with it."), field="text")
    month = month_period(Month.parse(statement.month), statement.zone)
    if interval.start < month.start or interval.end > month.end:
        raise Invalid(_("The interval must lie within the statement's month."), field="starts_at")
    question = StatementQuestion.objects.create(
        institution_id=statement.institution_id,
        statement=statement,
        starts_at=interval.start,
        ends_at=interval.end,
        text=text.strip(),
        asked_by=by,
        asked_at=at,
    )
    audit.record(
        "provisioning.statement_questioned",
        question,
        by=by,
        at=at,
        institution_id=statement.institution_id,
        deliver_to=("provisioning.mail_question",),
    )
    return question


@transaction.atomic
def accept(question: StatementQuestion, *, answer: str, by: User, at: datetime) -> ServiceStatement:
    """Will answer and have the month counted again from what is known now. Raises Forbidden, Invalid."""
    _close(question, "accepted", answer=answer, by=by, at=at)
    statement = question.statement
    newer = make_statement(statement.hub, month=Month.parse(statement.month), at=at, by=by, reason=answer.strip()[:300])
    return newer or statement


@transaction.atomic
def decline(question: StatementQuestion, *, answer: str, by: User, at: datetime) -> None:
    """Will answer why the statement stands. Raises Forbidden, Invalid."""
    _close(question, "declined", answer=answer, by=by, at=at)


def _close(question: StatementQuestion, to: str, *, answer: str, by: User, at: datetime) -> None:
    check_staff(by, Permission.OPERATE_HUBS)
    if not answer.strip():
        raise Invalid(_("Write the answer: the university reads it."), field="answer")
    QUESTION.move(question, to, answer=answer.strip(), answered_by=by, answered_at=at)
    audit.record(
        f"provisioning.question_{to}",
        question,
        by=by,
        at=at,
        institution_id=question.institution_id,
        deliver_to=("provisioning.mail_answer",),
    )
