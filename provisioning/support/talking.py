"""Asking for support and answering: each word moves the request, its clock, and goes to the other side by mail."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Invalid
from consortium.kernel.states import TransitionRefused
from consortium.kernel.uploads import Upload
from members.models import User
from members.permissions import Permission, check_at, check_staff
from provisioning.models import Hub, SupportMessage, SupportRequest
from provisioning.support.attachments import check_files, keep_files
from provisioning.support.running import running_clock, start_clock, stop_clock
from provisioning.support.terms import SeverityTerms, support_terms
from provisioning.support_states import SUPPORT

MAIL: Final = "provisioning.mail_support"
GONE: Final = ("declined", "retired")


@transaction.atomic
def open_request(
    hub: Hub, *, severity: str, title: str, text: str, attachments: Sequence[Upload] = (), by: User, at: datetime
) -> SupportRequest:
    """Will open a request about the hub under the agreement's terms of now; the clock of the first answer starts.

    Raises Forbidden, and Invalid for words that lack, a severity that the agreement does not have, a hub that is gone,
    or files that cannot be taken. Needs the institution's scope.
    """
    check_at(by, Permission.REQUEST_SUPPORT, hub.institution_id)
    if hub.status in GONE:
        raise Invalid(_("This hub is gone. Ask about one that you have."), field="hub")
    terms = support_terms(hub.institution_id, hub, at=at)
    chosen = terms.of(severity)
    if chosen is None:
        raise Invalid(_("Choose one of the severities of your agreement."), field="severity")
    if not title.strip():
        raise Invalid(_("Say in a few words what it is about."), field="title")
    check_files(attachments)
    Hub.objects.select_for_update(no_key=True).get(pk=hub.pk)
    newest = SupportRequest.objects.filter(hub=hub).aggregate(newest=Max("number"))["newest"] or 0
    request = SupportRequest.objects.create(
        institution_id=hub.institution_id,
        hub=hub,
        number=newest + 1,
        title=title.strip(),
        zone=terms.zone,
        opened_by=by,
        opened_at=at,
        **_terms(chosen),
    )
    clock = start_clock(request, "response", since=at)
    _say(request, "member", text=text, attachments=attachments, by=by, at=at)
    audit.record(
        "provisioning.support_opened",
        request,
        by=by,
        at=at,
        institution_id=hub.institution_id,
        after={"severity": severity, "due": clock.due_at if clock else None},
    )
    return request


@transaction.atomic
def reply(request: SupportRequest, *, text: str, attachments: Sequence[Upload] = (), by: User, at: datetime) -> None:
    """Will add the member's word: it is the consortium's turn again, and what was resolved is reopened.

    Raises Forbidden, Invalid without words or for files, TransitionRefused for one that is closed.
    """
    check_at(by, Permission.REQUEST_SUPPORT, request.institution_id)
    was = _locked(request).status
    if was == "closed":
        raise TransitionRefused(_("This request is closed. Open a new one, and name this one in it."))
    if was != "open":
        _move(request, "open", by=by, at=at)
    if running_clock(request) is None and was != "open":
        start_clock(request, "response" if was == "resolved" else "update", since=at)
    _say(request, "member", text=text, attachments=attachments, by=by, at=at)


@transaction.atomic
def answer(
    request: SupportRequest,
    *,
    text: str,
    to: str = "answered",
    attachments: Sequence[Upload] = (),
    by: User,
    at: datetime,
) -> None:
    """Will add the consortium's word: news ("answered"), a question back ("waiting"), or the end ("resolved").

    It stops the clock that runs; only after news another one starts. Raises Forbidden, Invalid, TransitionRefused.
    """
    check_staff(by, Permission.OPERATE_HUBS)
    was = _locked(request).status
    stop_clock(request, because="answer", at=at)
    if was != to:
        _move(request, to, by=by, at=at, **({"resolved_at": at} if to == "resolved" else {}))
    if to == "answered":
        start_clock(request, "update", since=at)
    _say(request, "consortium", text=text, attachments=attachments, by=by, at=at)


@transaction.atomic
def note(request: SupportRequest, *, text: str, attachments: Sequence[Upload] = (), by: User, at: datetime) -> None:
    """Will add a note that only consortium staff read; no clock heeds it. Raises Forbidden, Invalid."""
    check_staff(by, Permission.OPERATE_HUBS)
    _locked(request)
    _say(request, "consortium", text=text, attachments=attachments, by=by, at=at, internal=True)


@transaction.atomic
def change_severity(request: SupportRequest, *, severity: str, text: str, by: User, at: datetime) -> None:
    """Will hold another severity, and say why: a first answer that is still due counts from the opening as before.

    Raises Forbidden, Invalid, TransitionRefused for one that is over.
    """
    check_staff(by, Permission.OPERATE_HUBS)
    row = _locked(request)
    chosen = support_terms(row.institution_id, request.hub, at=at).of(severity)
    if chosen is None or severity == row.severity:
        raise Invalid(_("Choose another one of the severities of the agreement."), field="severity")
    if row.status in {"resolved", "closed"}:
        raise TransitionRefused(_("This request is over; its severity stands."))
    clock = stop_clock(request, because="severity", at=at)
    for name, value in _terms(chosen).items():
        setattr(request, name, value)
    SupportRequest.objects.filter(pk=request.pk).update(**_terms(chosen))
    if clock is not None:
        start_clock(request, clock.kind, since=clock.started_at)
    _say(request, "consortium", text=text, by=by, at=at)
    audit.record(
        "provisioning.support_severity_changed",
        request,
        by=by,
        at=at,
        institution_id=request.institution_id,
        before={"severity": row.severity},
        after={"severity": severity},
    )


@transaction.atomic
def close(request: SupportRequest, *, by: User | audit.System, at: datetime) -> None:
    """Will close the request for good, for the member who needs it no more, or a program when nobody objected.

    Raises Forbidden, TransitionRefused.
    """
    check_at(by, Permission.REQUEST_SUPPORT, request.institution_id)
    _locked(request)
    stop_clock(request, because="member", at=at)
    _move(request, "closed", by=by, at=at, closed_at=at)


def _terms(chosen: SeverityTerms) -> dict[str, object]:
    return {
        "severity": chosen.code,
        "severity_en": chosen.name_en,
        "severity_fr": chosen.name_fr,
        "response_hours": chosen.response_hours,
        "update_hours": chosen.update_hours,
        "around_the_clock": chosen.around_the_clock,
    }


def _locked(request: SupportRequest) -> SupportRequest:
    """Hold the request until the transaction ends, and read how it stands now."""
    row = SupportRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
    request.status = row.status
    return row


def _move(request: SupportRequest, to: str, *, by: User | audit.System, at: datetime, **values: datetime) -> None:
    was = request.status
    SUPPORT.move(request, to, **values)
    audit.record(
        "provisioning.support_moved",
        request,
        by=by,
        at=at,
        institution_id=request.institution_id,
        before={"status": was},
        after={"status": to},
    )


def _say(
    request: SupportRequest,
    side: str,
    *,
    text: str,
    attachments: Sequence[Upload] = (),
    by: User,
    at: datetime,
    internal: bool = False,
) -> SupportMessage:
    if not text.strip():
        raise Invalid(_("Write what the other side needs to know."), field="text")
    message = SupportMessage.objects.create(
        institution_id=request.institution_id,
        request=request,
        side=side,
        internal=internal,
        status=request.status,
        text=text.strip(),
        author=by,
        at=at,
    )
    kept = keep_files(message, attachments, at=at)
    audit.record(
        "provisioning.support_said",
        message,
        by=by,
        at=at,
        institution_id=request.institution_id,
        after={"side": side, "internal": internal, "files": len(kept)},
        deliver_to=() if internal else (MAIL,),
    )
    return message
