"""Puts the steps in order and gathers the figures of the result."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.urls import reverse
from django.utils import translation

from billing.ledger import is_balanced
from billing.models import BillImport, Invoice, LedgerEntry, Pool
from consortium.embedded.supervisor import Supervisor
from consortium.kernel.clock import now
from consortium.kernel.documents import read
from consortium.kernel.money import exact_sum, plain
from consortium.kernel.periods import Month
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.agreements import tell_agreements
from consortium.management.demo.applying import tell_applying
from consortium.management.demo.books import tell_books
from consortium.management.demo.costs import tell_costs
from consortium.management.demo.domains import tell_domains
from consortium.management.demo.foundation import lay_foundation
from consortium.management.demo.history import tell_history
from consortium.management.demo.invoicing import tell_invoicing
from consortium.management.demo.narrator import Narrator
from consortium.management.demo.people import DemoPerson, make_people
from consortium.management.demo.service import BROKEN, tell_service
from consortium.management.demo.story import NEWCOMER, STUDENT, Story
from consortium.management.demo.support import tell_past_support
from consortium.management.demo.using import tell_use_of
from consortium.models import Document
from members.models import User
from provisioning.drivers import local_driver, target_of
from provisioning.models import Hub


def _url(name: str, *words: object) -> str:
    with translation.override("en"):
        return settings.PUBLIC_URL + reverse(name, args=words)


def tell(
    narrator: Narrator, *, home: Path, month: Month, history: int, bill: Path | None, supervisor: Supervisor
) -> tuple[dict[str, Any], dict[str, DemoPerson]]:
    """Tell the whole main job; returns the result of the JSON, and the people with their secrets."""
    with narrator.step("consortium", "A consortium with its first members") as step:
        people = make_people(home)
        users = {role: User.objects.get(email=person.email) for role, person in people.items()}
        months = [month.plus(back) for back in range(-history, 0)]
        with consortium_scope(Scope.COMMAND):
            issuer = lay_foundation(at=now(), first_month=months[0], this_month=month)
            tell_applying(issuer=issuer, staff=users["staff"], at=now())
        story = Story(issuer, users, month, narrator.say, home / "bills", bill)
        story.refuse_second_bill()
        tell_history(
            issuer=issuer,
            staff=users["staff"],
            months=months,
            this_month=month,
            folder=home / "bills",
            say=narrator.say,
        )
        tell_past_support(slug=BROKEN, staff=users["staff"], month=months[-1])
        tell_service(staff=users["staff"], months=months, at=now())
        tell_books(issuer=issuer, staff=users["staff"], months=months, at=now())
        tell_invoicing(issuer=issuer, staff=users["staff"], month=month)
        narrator.say("waiting for the web server")
        supervisor.wait_ready("web")
        step.link = _url("home")
    with narrator.step("membership", "A university applies, is approved and signs") as step:
        agreement = story.join()
        narrator.say("its DNS proves its domain")
        tell_domains(institution=story.newcomer, by=users["technical"], home=home)
        with consortium_scope(Scope.COMMAND):
            tell_agreements(newcomer=NEWCOMER, owner=users["owner"], staff=users["staff"], at=now())
        step.link = _url("agreement", NEWCOMER, agreement.pk)
    with narrator.step("hub", "Its JupyterHub is provisioned") as step:
        hub = story.provide_hub()
        tell_use_of(hub, by=users["technical"], staff=users["staff"])
        step.link = hub.url
    with narrator.step("student", "A student signs in and works") as step:
        story.work_as_student()
        step.link = _url("hub", NEWCOMER, hub.slug)
    with narrator.step("usage", "Use is metered under pseudonyms") as step:
        seconds, active = story.meter()
        narrator.say(f"{seconds} server-seconds, {active} active")
        step.link = _url("usage", NEWCOMER)
    with narrator.step("bill", "The cloud's bill is imported") as step:
        tell_costs(issuer=issuer, month=month, at=now())
        imported = story.bring_bill()
        narrator.say(f"{imported.rows} rows, {plain(imported.billed_total)} {imported.currency}")
    with narrator.step("month", "The month is closed, invoices are issued") as step:
        invoice = story.close_month()
        step.link = _url("invoice", NEWCOMER, invoice.pk)
    with narrator.step("payment", "The invoice is paid by card") as step:
        story.pay(invoice)
        step.link = _url("invoices", NEWCOMER)
    password = local_driver().passwords(target_of(hub))[STUDENT]
    people["student"] = DemoPerson("student, on the hub's own page", "A student", STUDENT, password, "")
    result = _result(hub, (seconds, active), imported, story.shared_pool(), invoice)
    return result, people


def _result(hub: Hub, use: tuple[int, int], imported: BillImport, pool: Pool, invoice: Invoice) -> dict[str, Any]:
    with consortium_scope(Scope.COMMAND):
        hub.refresh_from_db()
        invoice.refresh_from_db()
        pdf = Document.objects.filter(kind="invoice", subject_id=str(invoice.pk)).order_by("language").first()
        shares = {share.institution.slug: share.amount for share in pool.shares.select_related("institution")}
        balanced, entries = is_balanced(), LedgerEntry.objects.count()
    health = "ok" if hub.status == "running" and hub.unreachable_since is None else hub.status
    checks = [
        health == "ok",
        use[0] > 0,
        use[1] == 1,
        exact_sum(shares.values()) == pool.rounded_total,
        invoice.status == "paid",
        pdf is not None and len(read(pdf)) == pdf.size,
        balanced,
    ]
    return {
        "ok": all(checks),
        "steps": [],
        "hub": {"url": hub.url, "version": hub.version, "health": health},
        "usage": {"server_seconds": use[0], "active_users": use[1]},
        "bill": {"rows": imported.rows, "billed_total": plain(imported.billed_total), "currency": imported.currency},
        "allocation": {
            "currency": pool.currency,
            "fx_rate": plain(pool.fx_rate.rate) if pool.fx_rate else "1",
            "pool": plain(pool.rounded_total),
            "shares": {slug: plain(amount) for slug, amount in sorted(shares.items())},
        },
        "invoice": {
            "number": invoice.number,
            "total": plain(invoice.total),
            "currency": invoice.currency,
            "status": invoice.status,
            "pdf_path": default_storage.path(pdf.storage_key) if pdf else None,
            "pdf_sha256": pdf.sha256 if pdf else None,
        },
        "ledger": {"balanced": balanced, "entries": entries},
    }
