"""The main job of one newcomer, step by step: apply, sign, get a hub, use it, be billed, pay.

Every step first looks at what is already there, so that a second run attaches and doubles nothing, and a run that was
cut off goes on.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from uuid import UUID

import httpx
from django.conf import settings

from billing.bills import content_digest
from billing.models import BillImport, BillingPeriod, Invoice, Payment, Pool
from billing.payments import start_payment
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.periods import Month, local_date
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.management.demo.colleagues import tell_people
from consortium.management.demo.foundation import GIB
from consortium.management.demo.history import CONSENT_TITLE, address_of, apply_for, write_bill
from consortium.management.demo.invoicing import second_approver
from consortium.management.demo.paying import tell_paying
from consortium.models import Document, Job
from consortium.usecases.close_period import request_close
from consortium.usecases.import_bill import import_bill
from consortium.usecases.join import countersign
from consortium.usecases.request_hub import request_hub
from members.agreements import sign_agreement
from members.models import Agreement, Institution, Issuer, Seat, User
from members.people import add_seat
from members.roles import Role
from provisioning.drivers import driver_for, local_driver, target_of
from provisioning.gateways.jupyterhub.student import StudentSession
from provisioning.models import Hub, Sample, SamplingRun
from provisioning.requests import approve_hub
from provisioning.rollups import roll_recent
from provisioning.wishes import HubWish

NEWCOMER = "uvic"
STUDENT = "student"
INTERVALS = 5
JOB_PATIENCE = 180.0
Say = Callable[[str], None]


class DemoFailed(PortalError):
    """The demonstration cannot go on; the sentence says where and what to do."""

    code = "demo_failed"


class HomeClosed(PortalError):
    """The home's month is closed with another bill."""

    code = "home_closed"


@dataclass
class Story:
    """Who and what the steps are about."""

    issuer: Issuer
    people: dict[str, User]
    month: Month
    say: Say
    folder: Path
    bill_path: Path | None = None
    hub: Hub = field(init=False)

    @property
    def newcomer(self) -> Institution:
        """The university that joins."""
        return Institution.objects.get(slug=NEWCOMER)

    # --- Step 3: joining ---------------------------------------------------------------------------------------

    def join(self) -> Agreement:
        """Apply, be approved, sign, be countersigned; give the others their seats."""
        with consortium_scope(Scope.COMMAND):
            agreement = self._agreement()
            if agreement.status == "offered":
                self.say("the owner reads and signs the agreement")
                sign_agreement(
                    agreement,
                    name=self.people["owner"].name,
                    title=CONSENT_TITLE,
                    language="en",
                    consent=True,
                    by=self.people["owner"],
                    at=now(),
                )
            if agreement.status == "signed":
                self.say("the consortium countersigns")
                countersign(
                    agreement,
                    name=self.people["staff"].name,
                    title="Executive Director",
                    by=self.people["staff"],
                    at=now(),
                )
            for role in (Role.FINANCE, Role.TECHNICAL, Role.VIEWER):
                user = self.people[role.value]
                if not Seat.objects.filter(institution=self.newcomer, user=user, ended_at=None).exists():
                    add_seat(institution=self.newcomer, user=user, role=role, by=self.people["owner"], at=now())
            tell_people(institution=self.newcomer, owner=self.people["owner"], at=now())
            return agreement

    def _agreement(self) -> Agreement:
        agreement = Agreement.objects.filter(institution=self.newcomer, kind="first").first()
        if agreement is None:
            self.say("the university applies, staff approve")
            at = now()
            agreement = apply_for(
                self.newcomer,
                owner=self.people["owner"],
                fte=22_000,
                language="en",
                address=address_of(self.newcomer),
                at=at,
                staff=self.people["staff"],
                starts_on=local_date(at, self.newcomer.zone),
            )
        return agreement

    # --- Step 4: the hub ---------------------------------------------------------------------------------------

    def provide_hub(self) -> Hub:
        """Request a hub, have it approved, and wait for the worker to make it."""
        with institution_scope(self.newcomer.pk):
            hub = Hub.objects.filter(institution=self.newcomer).first()
            if hub is None:
                self.say("the technical contact requests it")
                hub = request_hub(institution=self.newcomer, wish=_wish(), by=self.people["technical"], at=now())
        with consortium_scope(Scope.COMMAND):
            hub = Hub.objects.select_related("cluster").get(pk=hub.pk)
            if hub.status == "requested":
                self.say("an operator approves it")
                job = approve_hub(hub, by=self.people["staff"], at=now())
            else:
                job = Job.objects.filter(kind="reconcile_hub", unique_key__startswith=str(hub.pk)).latest("created_at")
        self._wait_for(job.pk)
        with consortium_scope(Scope.COMMAND):
            self.hub = Hub.objects.select_related("cluster").get(pk=hub.pk)
        self._wait_healthy()
        return self.hub

    def _wait_healthy(self) -> None:
        """After a restart the supervisor brings the hub back by itself; the meter may have missed it meanwhile."""
        driver, target = driver_for(self.hub.cluster), target_of(self.hub)
        for _ in self._patience("the hub does not get healthy; see logs/hubs.log in the home"):
            seen = driver.observe(target)
            with consortium_scope(Scope.COMMAND):
                self.hub.refresh_from_db()
            if seen.healthy and self.hub.unreachable_since is None:
                return
            self.say(f"hub is {seen.state}" if not seen.healthy else "the meter has not seen the hub again yet")

    # --- Step 4b: a student ------------------------------------------------------------------------------------

    def work_as_student(self) -> int:
        """Sign in, start a server, stay for some sampling intervals, stop it; returns the looks that saw it."""
        with consortium_scope(Scope.COMMAND):
            seen = Sample.objects.filter(hub=self.hub).count()
            if seen >= INTERVALS:
                return seen
        password = local_driver().passwords(target_of(self.hub))[STUDENT]
        with StudentSession(self.hub.url) as student:
            self.say("a student signs in")
            student.sign_in(STUDENT, password)
            self.say("starts a server")
            student.start_server()
            try:
                for _ in self._patience("the meter does not see the student's server; see logs/meter.log in the home"):
                    with consortium_scope(Scope.COMMAND):
                        seen = Sample.objects.filter(hub=self.hub, ready=True).count()
                    self.say(f"works; the meter has looked {seen} times")
                    if seen > INTERVALS:
                        break
            finally:
                student.stop_server()
        return seen

    def meter(self) -> tuple[int, int]:
        """Roll the samples up; returns server-seconds and active users of the newcomer."""
        with consortium_scope(Scope.COMMAND):
            for _ in self._patience("the meter stopped; see logs/meter.log in the home"):
                last = Sample.objects.filter(hub=self.hub).order_by("-at").first()
                if last and SamplingRun.objects.filter(hub=self.hub, ok=True, at__gt=last.at).exists():
                    break
            roll_recent(at=now())
            days = list(self.hub.days.all())
            people = self.hub.day_users.values("pseudonym").distinct().count()
        return sum(day.server_seconds for day in days), people

    # --- Steps 5 and 6: the bill, the month --------------------------------------------------------------------

    def refuse_second_bill(self) -> None:
        """Another bill on a home whose month is closed is refused before anything moves."""
        if self.bill_path is None:
            return
        with consortium_scope(Scope.COMMAND):
            period = (
                BillingPeriod.objects.filter(issuer=self.issuer, month=str(self.month)).exclude(status="open").first()
            )
            if period is None:
                return
            held = BillImport.objects.filter(charged_month=str(self.month)).order_by("-imported_at").first()
        if held is None or held.file_name != self.bill_path.name or not _same(held, self.bill_path):
            name = held.file_name if held else "no bill"
            raise HomeClosed(
                f"{self.month} is {period.status} in this home with {name}; {self.bill_path.name} cannot be added. "
                f"Start a new home: ./portal demo --home DIR --bill {self.bill_path.name}"
            )

    def bring_bill(self) -> BillImport:
        """Import the bill that was given, or the generated one."""
        with consortium_scope(Scope.COMMAND):
            held = BillImport.objects.filter(charged_month=str(self.month)).order_by("-imported_at").first()
            if (
                held is not None
                and not BillingPeriod.objects.filter(issuer=self.issuer, month=str(self.month), status="open").exists()
            ):
                return held
            path = self.bill_path or write_bill(self.month, self.folder)
            return import_bill(
                path,
                issuer=self.issuer,
                charged_month=str(self.month),
                by=self.people["staff"],
                at=now(),
                create_account=True,
                progress=lambda rows: self.say(f"{rows} rows"),
            )

    def close_month(self) -> Invoice:
        """Close the current month early; returns the newcomer's invoice."""
        with consortium_scope(Scope.COMMAND):
            job = request_close(
                issuer=self.issuer,
                month=self.month,
                early=True,
                by=self.people["staff"],
                approver=second_approver(),
                at=now(),
            )
        self._wait_for(job.pk)
        with consortium_scope(Scope.COMMAND):
            invoice = Invoice.objects.filter(institution=self.newcomer, period__month=str(self.month)).first()
        if invoice is None or invoice.number is None:
            raise DemoFailed(
                "The month was closed without an invoice for the newcomer; see the billing run in the admin site."
            )
        return invoice

    def shared_pool(self) -> Pool:
        """The pool whose shares the result shows: `shared` of the bill that was brought last."""
        with consortium_scope(Scope.COMMAND):
            pools = Pool.objects.filter(period__issuer=self.issuer, period__month=str(self.month), key="shared")
            pool = pools.select_related("fx_rate").order_by("-bill__imported_at").first()
        if pool is None:
            raise DemoFailed("The bill has no row for the pool `shared`: every row is tagged with a university.")
        return pool

    # --- Step 7: paying ----------------------------------------------------------------------------------------

    def pay(self, invoice: Invoice) -> Payment:
        """Pay by card on Stripe's page (here: the simulator's), and wait for its webhook."""
        with consortium_scope(Scope.COMMAND):
            paid = Payment.objects.filter(invoice=invoice, status="succeeded").first()
        if paid is None:
            self.say("Checkout opens")
            payment = start_payment(invoice, return_url=f"{settings.PUBLIC_URL}/en/", at=now())
            self.say("the card is entered")
            _pay_on_page(payment.session_url)
            for _ in self._patience("no webhook arrived; see logs/stripe.log and logs/web.log in the home"):
                with consortium_scope(Scope.COMMAND):
                    paid = Payment.objects.filter(pk=payment.pk, status="succeeded").first()
                if paid:
                    break
                self.say("waiting for the webhook")
        assert paid is not None  # noqa: S101 - _patience raises otherwise
        for _ in self._patience("no receipt was made; see logs/worker.log in the home"):
            with consortium_scope(Scope.COMMAND):
                if Document.objects.filter(kind="receipt", subject_id=str(paid.pk)).exists():
                    break
            self.say("the receipt is made")
        tell_paying()
        return paid

    # --- Waiting -----------------------------------------------------------------------------------------------

    def _wait_for(self, job_id: UUID) -> Job:
        """Follow a job to its end, through killed workers and retries."""
        for _ in self._patience("a job does not end; see logs/worker.log in the home"):
            with consortium_scope(Scope.COMMAND):
                job = Job.objects.get(pk=job_id)
            done = f" {job.done}/{job.total}" if job.total else ""
            self.say(f"{job.step or job.state}{done}")
            if job.state == "succeeded":
                return job
            if job.state in {"failed", "needs_operator", "cancelled"}:
                raise DemoFailed(f"{job.kind} stopped at “{job.step}”: {job.error}")
        raise DemoFailed("unreachable")

    @staticmethod
    def _patience(complaint: str, seconds: float = JOB_PATIENCE) -> Iterator[int]:
        deadline, turn = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            yield turn
            turn += 1
            time.sleep(0.25)
        raise DemoFailed(f"After {seconds:.0f} s {complaint}.")


def _wish() -> HubWish:
    return HubWish(
        name="UVic Jupyter",
        purpose="First-year statistics and data science",
        environment="standard",
        memory_bytes=1 * GIB,
        max_servers=20,
        expected_users=400,
        users=frozenset({STUDENT}),
    )


def _same(held: BillImport, path: Path) -> bool:
    return held.content_sha256 == content_digest(path)


def _pay_on_page(url: str) -> None:
    """Do on the hosted page what a person would: open it, enter the card, press the button."""
    card = {"method": "card", "number": "4242424242424242", "expiry": "12/30", "cvc": "123", "email": "ap@demo.example"}
    with httpx.Client(timeout=20, follow_redirects=False) as browser:
        page = browser.get(url)
        page.raise_for_status()
        form = re.search(r'<form[^>]*action="([^"]*)"', page.text)
        if form is None:
            raise DemoFailed(f"There is no payment form at {url}.")
        answer = browser.post(page.url.join(unescape(form.group(1)) or str(page.url)), data=card)
        if answer.status_code not in {302, 303}:
            raise DemoFailed(f"The payment page answered {answer.status_code} instead of taking the card.")
