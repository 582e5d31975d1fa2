"""One world for many deaths: a provider, workers, a member for each story, and all that must be the same in the end."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

from billing import ledger
from billing.clearing_check import clearing_faults
from billing.member_credit import credit_held
from billing.models import (
    CardDispute,
    CardDisputeAnswer,
    ClearingMovement,
    Invoice,
    InvoiceBalance,
    LedgerLeg,
    Payment,
    Refund,
)
from billing.payments import receive_event, start_payment
from consortium.kernel import jobs
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent, Delivery, Job
from tests.cast import Cast, make_cast, make_institution
from tests.unit.billing.checkout import KEY, SECRET, Till, open_till, signed
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import RETURN, payment_of, stand
from tests.verification.mortal import Act, Kill, Mortals, mortals
from tests.verification.post_office import PostOffice, open_post_office

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
PAID = "payment_intent.succeeded"


@dataclass
class World:
    """The one database, the one provider, and the process whose workers die."""

    cast: Cast
    till: Till
    workers: Mortals
    office: PostOffice
    told: int = 0

    @property
    def at(self) -> datetime:
        """Now: what the provider tells is signed with the real time."""
        return datetime.now(UTC)

    # --- A member and its money -------------------------------------------------------------------------------------

    def invoice(self) -> Invoice:
        """An open invoice of a member that has nothing else."""
        self.told += 1
        member = make_institution(f"u{self.told}")
        return make_invoice(self.cast, institution=member, number=f"ICC-2026-{self.told:04}")

    def opened(self, invoice: Invoice) -> Payment:
        """The page on which the invoice is paid, open."""
        return start_payment(invoice, return_url=RETURN, at=self.at, gateway=self.till.gateway)

    def paid(self, method: str = "card") -> Payment:
        """A payment that has come, and of which we know."""
        invoice = self.invoice()
        payment = self.opened(invoice)
        if method == "card":
            self.till.card(payment)
        else:
            self.till.debit(payment)
            self.till.settle()
        self.till.hear(self.news(PAID))
        return payment_of(invoice)

    def news(self, kind: str) -> bytes:
        """The newest message of a kind."""
        store = self.till.simulator.store
        with store.transaction(silent=True):
            return as_sent(next(event for event in store.newest("event") if event["type"] == kind))

    def newest(self) -> str:
        """The name of the newest message, "" before the first."""
        store = self.till.simulator.store
        with store.transaction(silent=True):
            return str(next(store.newest("event"), {"id": ""})["id"])

    def hear_all_after(self, name: str) -> None:
        """Receive and act on all that was told after that message, the oldest first."""
        store = self.till.simulator.store
        with store.transaction(silent=True):
            told = list(takewhile(lambda event: event["id"] != name, store.newest("event")))
        self.till.hear_all([as_sent(event) for event in told[::-1]])

    def emptied(self) -> None:
        """Nothing is left in the balance at the provider for a payout to take along."""
        with self.till.simulator.store.transaction(silent=True):
            lines = list(self.till.simulator.store.newest("balance_transaction"))
        if any(not line.get("payout") for line in lines):
            self.paid()  # what the stories before have left may be less than nothing
            self.till.pull("payout")
            self.till.hear(self.news("payout.created"))

    # --- Acts and turns ---------------------------------------------------------------------------------------------

    def hear(self, kind: str) -> Act:
        """The newest message of a kind has come in; a worker will act on it."""
        body, at = self.news(kind), self.at
        receive_event(body, signed(body, at), at=at, gateway=self.till.gateway)
        return Act("hear", {})

    def job(self, kind: str) -> Act:
        """The newest job of a kind; a worker will do it."""
        with consortium_scope(Scope.COMMAND):
            return Act("job", {"job": str(Job.objects.filter(kind=kind).latest("created_at").pk)})

    def turn(self, act: Act, kill: Kill | None = None) -> bool:
        """A worker's turn; returns whether it died of it. Its clock runs ahead: no message has to wait."""
        return self.workers.do(act, at=self.at + timedelta(hours=2), kill=kill)

    def next_turn(self, act: Act) -> None:
        """The next worker's turn, once the dead one's lease is over; the sweeper finds the job for it."""
        if act.name == "job":
            self._found_again(act.what["job"])
        assert not self.turn(act)

    def _found_again(self, key: str) -> None:
        with consortium_scope(Scope.COMMAND):
            held = Job.objects.filter(pk=key)
            held.update(run_after=LONG_AGO)
            held.filter(state="running").update(lease_until=LONG_AGO)
            state = held.get().state
        found: list[str] = []
        hints, jobs._hint[:] = list(jobs._hint), [lambda job: found.append(str(job))]
        try:
            jobs.sweep(at=self.at)
        finally:
            jobs._hint[:] = hints
        assert (key in found) == (state in {"queued", "running"}), state

    # --- The end ----------------------------------------------------------------------------------------------------

    def end(self, invoice: Invoice) -> dict[str, Any]:
        """All that is true of a member's invoice in the end; the books as a whole are whole."""
        with consortium_scope(Scope.COMMAND):
            assert ledger.is_balanced()
            assert clearing_faults(self.cast.issuer) == []
            own = {"institution_id": invoice.institution_id}
            balance, legs = InvoiceBalance.objects.get(pk=invoice.pk), LedgerLeg.objects.exclude(entry__kind="invoice")
            legs = legs.filter(entry__institution_id=invoice.institution_id)
            return {
                "invoice": (*stand(invoice), balance.due, credit_held(invoice.institution_id)),
                "payments": listed(Payment, own, "status", "amount", "method", "failure"),
                "refunds": listed(Refund, own, "status", "amount"),
                "disputes": listed(CardDispute, own, "status", "amount"),
                "answers": listed(CardDisputeAnswer, own, "kind", "evidence"),
                "clearing": listed(ClearingMovement, own, "kind", "net"),
                "books": sorted(legs.values_list("entry__kind", "account__code", "amount")),
                "audit": listed(AuditEvent, own, "action"),
                "mails wanted": listed(Delivery, own, "receiver"),
                "at the provider": self._at_the_provider(invoice),
            }

    def _at_the_provider(self, invoice: Invoice) -> list[tuple[Any, ...]]:
        """Pages on which somebody could pay or has paid, what was given back, and how often a dispute was answered."""
        store = self.till.simulator.store
        with store.transaction(silent=True):
            of_invoice = {"invoice_id": str(invoice.pk)}.items()
            pages = [each for each in store.newest("checkout.session") if of_invoice <= each["metadata"].items()]
            intents = {each["payment_intent"] for each in pages} - {None}
            refunds = [each for each in store.newest("refund") if each["payment_intent"] in intents]
            disputes = [each for each in store.newest("dispute") if each["payment_intent"] in intents]
        return [
            *sorted(("page", each["status"], each["amount_total"]) for each in pages),
            *sorted(("refund", each["status"], each["amount"]) for each in refunds),
            *sorted(
                ("dispute", each["status"], each["evidence_details"]["submission_count"], repr(each["evidence"]))
                for each in disputes
            ),
        ]


def as_sent(event: dict[str, Any]) -> bytes:
    """A message as the provider sends it."""
    return json.dumps(event, indent=2).encode()


def listed(model: Any, own: dict[str, Any], *columns: str) -> list[tuple[Any, ...]]:
    """The rows of a member, sorted."""
    return sorted(model.objects.filter(**own).values_list(*columns))


@contextmanager
def open_world(database: str, folder: Path) -> Iterator[World]:
    """A world for as long as the block lasts."""
    with open_till(folder) as till, open_post_office() as office:
        stripe = {"STRIPE_API_BASE": till.simulator.url, "STRIPE_API_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET}
        with mortals(database, mail_port=office.port, **stripe) as workers:
            yield World(make_cast(datetime(2026, 10, 15, 16, 0, tzinfo=UTC)), till, workers, office)


@dataclass(frozen=True)
class Story:
    """How an invoice comes to an act, and how it goes on when the act is done."""

    begin: Callable[[World], tuple[Invoice, Act]]
    go_on: Callable[[World, Invoice], object] = lambda _world, _invoice: None
    look: Callable[[World, Invoice], Any] = lambda _world, _invoice: None

    def lived(self, world: World, kill: Kill | None = None) -> tuple[dict[str, Any], bool]:
        """Let it happen: a worker acts and may be killed, the next one has its turn, all news is heard.

        Returns how things stood after the next turn and in the end, and whether the worker died.
        """
        before = world.newest()
        invoice, act = self.begin(world)
        died = world.turn(act, kill)
        world.next_turn(act)
        halfway = world.end(invoice)
        self.go_on(world, invoice)
        world.hear_all_after(before)
        return {"halfway": halfway, **world.end(invoice), "more": self.look(world, invoice)}, died
