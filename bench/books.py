"""Closing a month and issuing its invoices: what they cost, against the raw floor of the same work.

A month closes from hub-days, so that more samples cost its roll-up and not its close; more members cost what they are.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

if TYPE_CHECKING:
    from billing.models import BillingPeriod, Invoice
    from members.models import Institution, Issuer

MONTH = "2026-10"
CLOSED_AT = datetime(2026, 11, 5, 18, tzinfo=UTC)
DAYS = 31
SET = 100
Say = Callable[[str, float, float, str], None]


@dataclass(frozen=True)
class Size:
    """How large the measurement is. `--full` is what the book promises."""

    members: int
    many_members: int
    samples: int
    invoices: int
    rendered: int


SMALL = Size(members=4, many_members=40, samples=50_000, invoices=50, rendered=5)
FULL = Size(members=20, many_members=200, samples=1_250_000, invoices=1_000, rendered=1_000)


def run(size: Size, say: Say) -> None:
    """Measure all of it, in the database that Django is connected to."""
    close_by_samples(size, say)
    close_by_members(size, say)
    issue(size, say)


# --- 4 times the samples, 10 times the members ------------------------------------------------------------------------


def close_by_samples(size: Size, say: Say) -> None:
    """Roll up and close a month, and once more with four times the samples."""
    rolled, closed = [], []
    for factor in (1, 4):
        world = World(size.members)
        world.add_samples(size.samples * factor)
        rolled.append(_timed(world.roll))
        closed.append(_timed(world.close))
    say(f"roll up {4 * size.samples} samples", rolled[1], rolled[0], f"a quarter of them, {size.samples}")
    say("close the month of 4 times the samples", closed[1], closed[0], "the month of a quarter")


def close_by_members(size: Size, say: Say) -> None:
    """Close a month, and one with ten times the members."""
    seconds = []
    for members in (size.members, size.many_members):
        world = World(members)
        world.add_hub_days()
        seconds.append(_timed(world.close))
    say(f"close a month of {size.many_members} members", seconds[1], seconds[0], f"of {size.members} members")


def issue(size: Size, say: Say) -> None:
    """Issue invoices, against inserting as many rows of the same tables; render some, against the bare engine."""
    world = World(size.invoices)
    world.add_hub_days()
    drafts = world.draft()
    seconds = _timed(lambda: world.issue(drafts))
    say(
        f"issue {len(drafts)} invoices",
        seconds,
        _timed(lambda: world.raw_rows(len(drafts))),
        "as many ledger entries inserted",
    )
    chosen = drafts[: size.rendered]
    ours, floor = world.render(chosen)
    say(f"render {len(chosen)} PDFs", ours, floor, "the engine on the same HTML")


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class World:
    """An issuer of its own with so many members, each with a hub, a payer and the cloud's bill of the month."""

    def __init__(self, members: int) -> None:
        from consortium.kernel.tenancy import Scope, consortium_scope

        self.key = uuid4().hex[:8]
        with consortium_scope(Scope.COMMAND):
            self.issuer = self._issuer()
            self.members = [self._member(number) for number in range(members)]
            self._bill()

    def _issuer(self) -> "Issuer":
        from billing.fx import record_rate
        from consortium.kernel.audit import System
        from consortium.kernel.dated import since
        from members.models import BankDetails, Issuer, TaxRegistration

        issuer = Issuer.objects.create(
            slug=f"b{self.key}", name_en="Bench", address="x", email="bench@example.org", zone="America/Vancouver"
        )
        valid = since(date(2020, 1, 1))
        TaxRegistration.objects.create(issuer=issuer, tax="GST", jurisdiction="CA", number="1", valid=valid)
        BankDetails.objects.create(
            issuer=issuer, currency="CAD", bank="B", holder="B", account_number="1", routing="1", valid=valid
        )
        record_rate(
            base="USD", quote="CAD", on=date(2026, 10, 31), rate=Decimal("1.40"), source="bench", by=System("bench"),
            at=CLOSED_AT,
        )  # fmt: skip
        return issuer

    def _member(self, number: int) -> "Institution":
        from billing.accounts import Payer, open_billing_account
        from consortium.kernel.audit import System
        from members.models import Institution

        slug = f"{self.key}-{number}"
        institution = Institution.objects.create(
            slug=slug, name_en=slug, name_fr=slug, city="x", province="BC", zone="America/Vancouver",
            domain=f"{slug}.example", latitude="49", longitude="-123",
        )  # fmt: skip
        payer = Payer(name=slug, address="x", email=f"ap@{slug}.example", province="BC")
        open_billing_account(institution=institution, issuer=self.issuer, payer=payer, by=System("bench"), at=CLOSED_AT)
        self._hub(institution)
        return institution

    def _hub(self, institution: "Institution") -> None:
        from provisioning.models import Cluster, Hub

        cluster, _made = Cluster.objects.get_or_create(slug="bench", defaults={"name": "bench", "driver": "local"})
        hub = Hub.objects.create(
            institution=institution, cluster=cluster, slug=institution.slug, name="x", agreement_id=uuid4(),
            zone="America/Vancouver", requested_at=CLOSED_AT,
        )  # fmt: skip
        Hub.objects.filter(pk=hub.pk).update(running_at=datetime(2026, 9, 1, tzinfo=UTC))

    def _bill(self) -> None:
        """One bill of the month: each member's own cost, and what they share."""
        from billing.models import BillImport, CloudAccount, CostRow

        account = CloudAccount.objects.create(
            issuer=self.issuer, slug=self.key, provider="bench", billing_account_id=self.key, created_at=CLOSED_AT
        )
        bill = BillImport.objects.create(
            cloud_account=account, month=MONTH, charged_month=MONTH, version=1, file_name="x", content_sha256=self.key,
            rows=len(self.members) + 1, billed_total=Decimal(10 * len(self.members) + 1_000), currency="USD",
            imported_at=CLOSED_AT,
        )  # fmt: skip
        start, end = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
        same = {
            "bill": bill, "currency": "USD", "charge_category": "Usage", "charge_period_start": start,
            "charge_period_end": end, "because": "bench",
        }  # fmt: skip
        CostRow.objects.bulk_create(
            [
                CostRow(
                    line=line,
                    billed_cost=Decimal(10),
                    effective_cost=Decimal(10),
                    destination="direct",
                    institution=institution,
                    **same,
                )
                for line, institution in enumerate(self.members, start=2)
            ]
        )
        CostRow.objects.create(
            line=1_000_000, billed_cost=Decimal(1_000), effective_cost=Decimal(1_000), destination="pool",
            pool_key="shared", **same,
        )  # fmt: skip

    # --- Use ------------------------------------------------------------------------------------------------------

    def add_samples(self, count: int) -> None:
        """Write so many samples, evenly over the members and the month, one look after the other."""
        from django.db import connection

        from consortium.kernel.tenancy import Scope, consortium_scope

        looks = max(count // (len(self.members) * 20), 1)
        interval = max(DAYS * 86_400 // looks, 1)
        with consortium_scope(Scope.JOB), connection.cursor() as cursor:
            words: dict[str, datetime | int | str] = {
                "first": datetime(2026, 10, 1, 7, tzinfo=UTC),
                "looks": looks,
                "seconds": interval,
                "key": self.key,
            }
            cursor.execute(
                """
                INSERT INTO provisioning_samplingrun (institution_id, hub_id, at, ok, interval_seconds, servers, error)
                SELECT h.institution_id, h.id, %(first)s + n * %(seconds)s * interval '1 second', true, %(seconds)s, 20,
                       ''
                FROM provisioning_hub h, generate_series(0, %(looks)s - 1) n WHERE h.slug LIKE %(key)s || '-%%'
                """,
                words,
            )
            cursor.execute(
                """
                INSERT INTO provisioning_sample
                    (institution_id, hub_id, at, pseudonym, server, started_at, ready, memory_bytes, gpus)
                SELECT h.institution_id, h.id, %(first)s + n * %(seconds)s * interval '1 second', md5(p::text), '',
                       %(first)s + (n / 20 * 20) * %(seconds)s * interval '1 second', true, 1073741824, 0
                FROM provisioning_hub h, generate_series(0, %(looks)s - 1) n, generate_series(1, 20) p
                WHERE h.slug LIKE %(key)s || '-%%'
                """,
                words,
            )

    def roll(self) -> None:
        """Roll every day of the month up."""
        from consortium.kernel.tenancy import Scope, consortium_scope
        from provisioning.models import Hub
        from provisioning.rollups import roll_day

        with consortium_scope(Scope.JOB):
            hubs = list(Hub.objects.filter(institution__in=self.members))
        for hub in hubs:
            for number in range(DAYS):
                roll_day(hub, day=date(2026, 10, 1) + timedelta(days=number), at=CLOSED_AT)

    def add_hub_days(self) -> None:
        """Write the month's hub-days as if they had been rolled up."""
        from consortium.kernel.tenancy import Scope, consortium_scope
        from provisioning.models import Hub, HubDay

        with consortium_scope(Scope.JOB):
            HubDay.objects.bulk_create(
                HubDay(
                    institution_id=hub.institution_id,
                    hub=hub,
                    day=date(2026, 10, 1) + timedelta(days=number),
                    zone=hub.zone,
                    server_seconds=3_600,
                    memory_gib_seconds=Decimal(7_200),
                    active_users=3,
                    rolled_at=CLOSED_AT,
                )
                for hub in Hub.objects.filter(institution__in=self.members)
                for number in range(DAYS)
            )

    # --- The close ------------------------------------------------------------------------------------------------

    def draft(self) -> "list[Invoice]":
        """Close the month as far as its drafts."""
        from billing import closing
        from billing.periods import open_period
        from consortium.kernel.audit import System
        from consortium.kernel.tenancy import Scope, consortium_scope

        by = System("bench")
        with consortium_scope(Scope.JOB):
            facts = self._facts()
            period: BillingPeriod = open_period(self.issuer, MONTH)
            closing.begin_closing(period, facts, by=by, at=CLOSED_AT)
            closing.allocate_pools(period, facts, at=CLOSED_AT)
            return closing.draft_invoices(period, facts, by=by, at=CLOSED_AT)

    def close(self) -> None:
        """Read the month's use, split, draft, post the bill, and lock the month."""
        from billing import closing
        from billing.periods import open_period
        from consortium.kernel.audit import System
        from consortium.kernel.tenancy import Scope, consortium_scope

        self.draft()
        with consortium_scope(Scope.JOB):
            closing.finish_closing(open_period(self.issuer, MONTH), by=System("bench"), at=CLOSED_AT)

    def _facts(self) -> list:  # type: ignore[type-arg] # of billing.facts.MemberFacts, which is imported inside
        from billing.facts import MemberFacts
        from consortium.kernel.periods import Month
        from members.schedule import HubLimits, Schedule, ServiceLevel, Slab
        from provisioning.queries import month_use

        terms = Schedule(
            tier="medium", tier_name_en="medium", tier_name_fr="moyenne", dues=Decimal(12_000), currency="CAD",
            slabs=(Slab(up_to=10, unit_price=Decimal("10.00")), Slab(up_to=None, unit_price=Decimal("2.50"))),
            included_support_hours=Decimal(2), support_hourly_rate=Decimal(120), creditable_monthly_fee=Decimal(500),
            entitlements=HubLimits(
                hubs=2, environments=("python",), memory_limit_bytes=2**31, max_servers=50, regions=("ca",)
            ),
            service_level=ServiceLevel(availability=Decimal("0.995")),
        )  # fmt: skip
        use = month_use(month=Month.parse(MONTH))
        nothing = UUID(int=0)
        return [
            MemberFacts(
                institution_id=each.pk,
                slug=each.slug,
                zone=each.zone,
                agreement_id=nothing,
                currency="CAD",
                schedule=terms,
                starts_on=date(2025, 1, 1),
                server_seconds=use[each.pk].server_seconds,
                memory_gib_seconds=use[each.pk].memory_gib_seconds,
                active_users=use[each.pk].active_users,
            )
            for each in self.members
        ]

    # --- Invoices -------------------------------------------------------------------------------------------------

    @staticmethod
    def issue(drafts: "list[Invoice]") -> None:
        """Approve and issue, a hundred in a transaction, as a close does."""
        from itertools import batched

        from billing.invoicing import approve_invoices, issue_invoices
        from consortium.kernel.audit import System
        from consortium.kernel.tenancy import Scope, consortium_scope

        by = System("bench")
        for batch in batched(drafts, SET):
            with consortium_scope(Scope.JOB):
                issue_invoices(approve_invoices(batch, by=by, at=CLOSED_AT).done, by=by, at=CLOSED_AT)

    def raw_rows(self, count: int) -> None:
        """Insert entries with their legs, one statement each, a hundred in a transaction: PostgreSQL alone."""
        from django.db import connection, transaction

        from billing.chart_of_accounts import Account, accounts_of
        from consortium.kernel.tenancy import Scope, consortium_scope

        with consortium_scope(Scope.JOB):
            accounts = accounts_of(self.issuer)
        words = [self.issuer.pk, accounts[Account.BANK].pk, accounts[Account.DUES_INCOME].pk]
        for _set in range(-(-count // SET)):
            with transaction.atomic(), consortium_scope(Scope.JOB), connection.cursor() as cursor:
                for _number in range(min(SET, count)):
                    cursor.execute(
                        """
                        WITH e AS (
                            INSERT INTO billing_ledgerentry (issuer_id, kind, source_type, source_id, "on", posted_at,
                                narration, leg_count)
                            VALUES (%s, 'raw', 'x', gen_random_uuid(), '2026-11-05', now(), 'x', 2) RETURNING id
                        )
                        INSERT INTO billing_ledgerleg (entry_id, account_id, amount, currency)
                        SELECT e.id, a.id, a.amount, 'CAD' FROM e, (VALUES (%s::uuid, 1), (%s::uuid, -1)) a (id, amount)
                        """,
                        words,
                    )

    @staticmethod
    def render(invoices: "list[Invoice]") -> tuple[float, float]:
        """Render documents; returns our seconds and those of the bare engine on the same HTML."""
        from unittest import mock

        from billing import documents
        from consortium.kernel import pdf
        from consortium.kernel.tenancy import Scope, consortium_scope

        engine = 0.0
        write = pdf.write_pdf

        def timed(*words: object, **named: object) -> bytes:
            nonlocal engine
            started = time.perf_counter()
            content: bytes = write(*words, **named)  # type: ignore[arg-type] # handed through as it came
            engine += time.perf_counter() - started
            return content

        started = time.perf_counter()
        with mock.patch.object(documents, "write_pdf", timed):
            for invoice in invoices:
                with consortium_scope(Scope.JOB):
                    invoice.refresh_from_db()
                    documents.render_invoice(invoice, at=CLOSED_AT)
        return time.perf_counter() - started, engine
