"""Some universities that are members already: joined by the same code, with generated use, bills and invoices.

Everything here is marked as demonstration data. Their hubs do not run (a suspended hub is honest, a running one that
answers nobody would not be); the newcomer's hub does.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from billing.models import BillingPeriod
from billing.periods import open_period
from billing.sample_bill import SampleHub, sample_bill
from consortium.kernel.clock import now
from consortium.kernel.periods import Month, days_of, month_period
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.management.demo.foundation import GIB
from consortium.management.demo.invoicing import second_approver
from consortium.usecases.close_period import close_period
from consortium.usecases.import_bill import import_bill
from consortium.usecases.join import countersign
from consortium.usecases.request_hub import request_hub
from members.agreements import sign_agreement
from members.models import Agreement, Institution, Issuer, Membership, User
from members.onboarding import approve_application, save_application, start_application, submit_application
from provisioning.models import Hub, HubDay, HubDayUser
from provisioning.states import HUB
from provisioning.wishes import HubWish

CONSENT_TITLE = "Vice-President, Finance"


@dataclass(frozen=True)
class Past:
    """One demonstration member: how large, how busy."""

    slug: str
    fte: int
    users_a_day: int
    french: bool = False


PASTS = (
    Past("ubc", 58_000, 46),
    Past("mcgill", 31_000, 31, french=True),
    Past("dal", 18_500, 17),
    Past("mun", 16_000, 12),
)
# Codes that name a province and no street: the demonstration claims nothing of where a university stands.
POSTAL_CODES = {"BC": "V0A 0A0", "QC": "G0A 0A0", "NS": "B0A 0A0", "NL": "A0A 0A0", "ON": "K0A 0A0", "SK": "S0A 0A0"}
HISTORY_ACCOUNT = "demonstration-cloud"


def tell_history(
    *, issuer: Issuer, staff: User, months: list[Month], this_month: Month, folder: Path, say: Callable[[str], None]
) -> None:
    """Make what is missing of the demonstration members and their past months; safe to start over."""
    first = datetime.combine(months[0].first_day, time(9), ZoneInfo(issuer.zone))
    for past in PASTS:
        say(f"{past.slug}: joining")
        with consortium_scope(Scope.COMMAND):
            institution = Institution.objects.get(slug=past.slug)
            if not Membership.objects.filter(institution=institution).exists():
                _join(past, institution, staff, first)
            _make_use(past, institution, [*months, this_month])
    for month in months:
        say(f"{month}: bill and close")
        _bill_and_close(issuer, staff, month, folder)


def apply_for(
    institution: Institution,
    *,
    owner: User,
    fte: int,
    language: str,
    address: str,
    at: datetime,
    staff: User,
    starts_on: date,
) -> Agreement:
    """Apply and be approved; returns the agreement that is offered. Needs a consortium scope."""
    application = start_application(institution=institution, by=owner, at=at)
    values = answers_of(institution, owner=owner, fte=fte, language=language, address=address)
    save_application(application, values=values, by=owner, at=at)
    submit_application(application, by=owner, at=at)
    return approve_application(application, starts_on=starts_on, by=staff, at=at)


def answers_of(institution: Institution, *, owner: User, fte: int, language: str, address: str) -> dict[str, object]:
    """The answers of a demonstration university: a complete application that claims nothing of the real one."""
    return {
        "legal_name": institution.name_fr if language == "fr" else institution.name_en,
        "address": address,
        "city": institution.city,
        "province": institution.province,
        "postal_code": POSTAL_CODES.get(institution.province, ""),
        "fte": fte,
        "staff_fte": fte // 6,
        "signatory_name": owner.name,
        "signatory_title": CONSENT_TITLE,
        "signatory_email": owner.email,
        "administrators": [{"name": owner.name, "email": owner.email, "role": "owner"}],
        "finance_email": f"accounts.payable@{institution.slug}.demo.example",
        "technical_email": f"jupyter@{institution.slug}.demo.example",
        "privacy_email": f"privacy@{institution.slug}.demo.example",
        "email_domains": [f"{institution.slug}.demo.example"],
        "sign_on": "none",
        "purpose": "Teaching and research with Jupyter notebooks across all faculties.",
        "language": language,
    }


def address_of(institution: Institution) -> str:
    """A street address that claims nothing: the demonstration knows only the city."""
    return f"Demonstration address, {institution.name_en}"


def _join(past: Past, institution: Institution, staff: User, at: datetime) -> None:
    language = "fr" if past.french else "en"
    owner = User.objects.create_user(
        f"owner@{past.slug}.demo.example", name=f"Demonstration owner, {institution.name_en}", language=language
    )
    agreement = apply_for(
        institution,
        owner=owner,
        fte=past.fte,
        language=language,
        address=address_of(institution),
        at=at,
        staff=staff,
        starts_on=at.date(),
    )
    sign_agreement(agreement, name=owner.name, title=CONSENT_TITLE, language=language, consent=True, by=owner, at=at)
    countersign(agreement, name=staff.name, title="Executive Director", by=staff, at=at)
    wish = HubWish(
        name=f"{past.slug.upper()} Jupyter",
        purpose="Demonstration data",
        environment="standard",
        memory_bytes=2 * GIB,
        max_servers=100,
        expected_users=past.fte // 50,
        users=frozenset({"student"}),
    )
    hub = request_hub(institution=institution, wish=wish, by=owner, at=at)
    for status in ("approved", "provisioning", "running", "suspended"):
        HUB.move(hub, status)


def _drawn(low: int, high: int, *seed: object) -> int:
    """A number between low and high that the seed decides."""
    digest = hashlib.sha256("/".join(map(str, seed)).encode()).digest()
    return low + int.from_bytes(digest[:6]) % (high - low + 1)


def _make_use(past: Past, institution: Institution, months: list[Month]) -> None:
    hub = Hub.objects.get(institution=institution)
    at = now()
    today = at.astimezone(ZoneInfo(hub.zone)).date()
    done = set(HubDay.objects.filter(hub=hub).values_list("day", flat=True))
    days, users = [], []
    for day in (day for month in months for day in days_of(month) if day < today and day not in done):
        weekend = 3 if day.weekday() > 4 else 1
        count = max(1, past.users_a_day * _drawn(70, 130, past.slug, day) // 100 // weekend)
        seconds = count * _drawn(4_000, 9_000, past.slug, day, "seconds")
        days.append(
            HubDay(
                institution=institution,
                hub=hub,
                day=day,
                zone=hub.zone,
                server_seconds=seconds,
                memory_gib_seconds=Decimal(seconds * 2),
                active_users=count,
                sessions=count + _drawn(0, count, past.slug, day, "sessions"),
                generated=True,
                rolled_at=at,
            )
        )
        # People come back: a day's users are drawn from a circle three times as large.
        circle = past.users_a_day * 3
        present = {_drawn(0, circle, past.slug, day, seat) for seat in range(count)}
        users += [
            HubDayUser(institution=institution, hub=hub, day=day, pseudonym=_pseudonym(past.slug, person))
            for person in sorted(present)
        ]
        days[-1].active_users = len(present)
    HubDay.objects.bulk_create(days)
    HubDayUser.objects.bulk_create(users)


def _pseudonym(slug: str, person: int) -> str:
    return hashlib.sha256(f"demonstration/{slug}/{person}".encode()).hexdigest()[:32]


def hubs_for_bill() -> list[SampleHub]:
    """The demonstration members' hubs, as the generated bills tag them. Needs a consortium scope."""
    wanted = [past.slug for past in PASTS]
    hubs = Hub.objects.filter(institution__slug__in=wanted).select_related("institution").order_by("slug")
    return [SampleHub(university=hub.institution.slug, hub=hub.slug) for hub in hubs]


def write_bill(month: Month, folder: Path) -> Path:
    """Write the generated bill of a month, with the traps of real ones. Needs a consortium scope."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"demonstration-{month}.csv"
    path.write_bytes(sample_bill(month, account=HISTORY_ACCOUNT, hubs=hubs_for_bill()))
    return path


def _bill_and_close(issuer: Issuer, staff: User, month: Month, folder: Path) -> None:
    at = month_period(month, issuer.zone).end + timedelta(days=2, hours=9)
    with consortium_scope(Scope.COMMAND):
        if BillingPeriod.objects.filter(issuer=issuer, month=str(month), status="closed").exists():
            return
        path = write_bill(month, folder)
        import_bill(path, issuer=issuer, charged_month=str(month), by=staff, at=at, create_account=True)
        period, approver = open_period(issuer, str(month)), second_approver()
    # Closed here rather than by a worker: a job's clock is the present, this month's is the past.
    close_period(period.pk, by=staff, early=False, at=at, approver=approver)
