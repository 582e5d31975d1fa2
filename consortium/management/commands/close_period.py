"""Closes a month at the server's command line: the same job as the admin site's, with its result as JSON."""

import json
import sys
import time
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from billing import closing
from billing.facts import Finding, MemberFacts
from billing.models import BillingPeriod, Invoice
from billing.periods import open_period
from billing.preflighting import month_is_over
from consortium.kernel import jobs
from consortium.kernel.audit import System
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.money import plain
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Job
from consortium.usecases.close_period import KIND, request_close
from consortium.usecases.month_facts import member_facts
from members.models import Issuer, User

BAD_INPUT, BLOCKED = 2, 3
ENDED = ("succeeded", "failed", "needs_operator", "cancelled")


class BadInput(PortalError):
    """The month, the issuer or a person that was named does not exist."""

    code = "bad_input"


class Command(BaseCommand):
    """Closes a month, or with --dry-run says what a close would invoice, to the cent."""

    help = "Closes YYYY-MM: exit 0 done, 2 bad input, 3 blocked. JSON goes to stdout, talk to stderr."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the month and who stands behind it."""
        parser.add_argument("month", metavar="YYYY-MM")
        parser.add_argument("--issuer", default="", help="slug of the legal entity; needed where there are several")
        parser.add_argument("--dry-run", action="store_true", help="write nothing: preflight and preview only")
        parser.add_argument("--early", action="store_true", help="close a month that still runs")
        parser.add_argument("--accept", action="append", default=[], metavar="CODE", help="answer for a finding")
        parser.add_argument("--prepared-by", default="", metavar="EMAIL", help="whose work this is; else the program's")
        parser.add_argument("--approved-by", default="", metavar="EMAIL", help="the second person, for large invoices")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Look, close, tell."""
        try:
            month, issuer = _month(options["month"]), _issuer(options["issuer"])
            people = _person(options["prepared_by"]), _person(options["approved_by"])
        except PortalError as error:
            self._fail(options, error, BAD_INPUT)
        try:
            result = self._closed(issuer, month, people, options)
        except closing.MonthNotOver as error:
            self._fail(options, error, BLOCKED)
        self._tell(result, options)
        if not result["ok"]:
            sys.exit(BLOCKED)

    def _closed(
        self, issuer: Issuer, month: Month, people: tuple[User | None, User | None], options: dict[str, Any]
    ) -> dict[str, Any]:
        at = now()
        with consortium_scope(Scope.COMMAND):
            period, facts = open_period(issuer, str(month)), member_facts(issuer, month, at=at)
            found = _preflight(period, facts, options, at)
            result: dict[str, Any] = {"period": str(month), "ok": True, "preflight": [_finding(each) for each in found]}
            stops = [each for each in found if each.blocking]
            if options["dry_run"]:
                seen = _preview(period, facts, at)
                transaction.set_rollback(True)  # not even the month's own row is left behind
                return result | {"ok": not stops, **seen, "job": None}
            if period.status == "closed":
                return result | {"invoices": _invoices(period), "parked": [], "job": _last_job(issuer, month)}
            if stops:
                return result | {"ok": False, "invoices": [], "parked": [], "job": None}
            prepared_by, approved_by = people
            job = request_close(
                issuer=issuer,
                month=month,
                early=options["early"],
                by=prepared_by or System("close_period"),
                at=at,
                approver=approved_by,
                accepted=options["accept"],
            )
        job = self._followed(job)
        with consortium_scope(Scope.COMMAND):
            period.refresh_from_db()
            return result | {"ok": job.state == "succeeded", **_outcome(period, job), "job": _job(job)}

    def _followed(self, job: Job) -> Job:
        """Do the job here, or wait for the worker that took it first."""
        step = ""
        while True:
            if job.state not in ENDED:
                jobs.run(job.pk)
            with consortium_scope(Scope.COMMAND):
                job.refresh_from_db()
            if job.step != step:
                step = job.step
                self.stderr.write(step)
            if job.state in ENDED:
                return job
            time.sleep(0.2)

    def _tell(self, result: dict[str, Any], options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(result))
            return
        for each in result["preflight"]:
            self.stdout.write(f"{'stops' if each['blocking'] else 'note '}  {each['code']}: {each['message']}")
        for each in result["invoices"]:
            number = each["number"] or "draft"
            self.stdout.write(f"{number:<20} {each['institution']:<20} {each['total']:>14} {each['currency']}")
        for each in result["parked"]:
            self.stdout.write(f"parked  {each['code']}: {each['message']}")

    def _fail(self, options: dict[str, Any], error: PortalError, status: int) -> NoReturn:
        if options["json"]:
            problem = {"code": error.code, "message": error.message}
            self.stdout.write(json.dumps({"period": options["month"], "ok": False, "error": problem}))
        raise CommandError(error.message, returncode=status)


def _month(text: str) -> Month:
    try:
        return Month.parse(text)
    except (PortalError, ValueError) as error:
        raise BadInput(f"{text!a} is no month: write it as 2026-11.") from error


def _issuer(slug: str) -> Issuer:
    issuers = {issuer.slug: issuer for issuer in Issuer.objects.order_by("slug")}
    if not slug and len(issuers) == 1:
        return next(iter(issuers.values()))
    if slug in issuers:
        return issuers[slug]
    known = ", ".join(issuers) or "none yet"
    raise BadInput(f"Name the legal entity with --issuer. Known: {known}.")


def _person(email: str) -> User | None:
    if not email:
        return None
    user = User.objects.filter(email__iexact=email, is_staff=True, is_active=True).first()
    if user is None:
        raise BadInput(f"{email} is no active member of staff.")
    return user


def _preflight(period: BillingPeriod, facts: list[MemberFacts], options: dict[str, Any], at: Any) -> list[Finding]:
    """What the look finds; what was answered for stops nothing any more. A closed month has nothing left to find."""
    if period.status == "closed":
        return []
    found = closing.preflight(period, facts, at=at)
    if not options["early"] and not month_is_over(period, facts, at=at):
        words = "The month is not over yet. Wait, or close it early with --early."
        found.append(Finding(code="month_not_over", blocking=True, message=words))
    return closing.after_acceptance(found, options["accept"])


def _finding(finding: Finding) -> dict[str, Any]:
    return {"code": finding.code, "blocking": finding.blocking, "message": finding.message}


def _preview(period: BillingPeriod, facts: list[MemberFacts], at: Any) -> dict[str, Any]:
    """What a close would invoice now; numbers come with the issue."""
    if period.status == "closed":
        return {"invoices": _invoices(period), "parked": []}
    try:
        found = closing.preview(period, facts, at=at)
    except PortalError as error:  # a rate is missing: the preflight says so too
        return {"invoices": [], "parked": [{"code": error.code, "message": error.message}]}
    return {
        "invoices": [
            {"institution": draft.slug, "number": None, "total": plain(draft.total), "currency": draft.currency}
            for draft in found.drafts
        ],
        "parked": [{"code": each.code, "message": each.message} for each in found.parked],
    }


def _outcome(period: BillingPeriod, job: Job) -> dict[str, Any]:
    waiting = [*job.result.get("held", []), *job.result.get("parked", [])]
    parked = [{"code": each["code"], "message": each["message"]} for each in waiting]
    if job.error:
        parked.append({"code": job.state, "message": job.error})
    return {"invoices": _invoices(period), "parked": parked}


def _invoices(period: BillingPeriod) -> list[dict[str, Any]]:
    rows = Invoice.objects.filter(period=period, number__isnull=False, kind="regular").select_related("institution")
    return [
        {
            "institution": invoice.institution.slug,
            "number": invoice.number,
            "total": plain(invoice.total),
            "currency": invoice.currency,
        }
        for invoice in rows.order_by("number")
    ]


def _last_job(issuer: Issuer, month: Month) -> dict[str, Any] | None:
    """The job that closed the month, where one did."""
    jobs_of_month = Job.objects.filter(kind=KIND, unique_key__startswith=f"{issuer.slug}:{month}")
    job = jobs_of_month.order_by("-created_at").first()
    return _job(job) if job else None


def _job(job: Job) -> dict[str, Any]:
    return {"id": str(job.pk), "state": job.state, "done": job.done, "total": job.total}
