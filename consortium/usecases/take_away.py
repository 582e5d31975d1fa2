"""What a university takes along from the members' and the money's side: agreements, invoices, what its hubs cost."""

import csv
import io
from collections.abc import Iterator
from decimal import Decimal

from billing.forecasts import forecast
from billing.queries import costs_of
from consortium.kernel.clock import now
from consortium.kernel.documents import read
from consortium.kernel.money import exact_sum, plain
from consortium.kernel.periods import Month, local_date
from consortium.models import Document
from provisioning.leaving.bundle import bundle_part
from provisioning.models import Hub

# The folder of a document in the bundle, by what it is about.
FOLDERS = {"members.Agreement": "agreement", "billing.Invoice": "invoices", "billing.CreditNote": "invoices"}
MONTHS_AHEAD = 12


@bundle_part
def members_and_money(hub: Hub) -> dict[str, bytes]:
    """Will return the signed agreements, the issued invoices and the cost forecast. Needs a scope that sees them."""
    return {**dict(_documents(hub)), "cost-forecast.csv": _forecast(hub).encode()}


def _documents(hub: Hub) -> Iterator[tuple[str, bytes]]:
    rows = Document.objects.filter(institution_id=hub.institution_id, subject_type__in=FOLDERS)
    for row in rows.order_by("created_at", "name"):
        yield f"{FOLDERS[row.subject_type]}/{row.created_at:%Y-%m-%d}-{row.name}", read(row)


def _forecast(hub: Hub) -> str:
    """What the next twelve months may cost, by currency, and what that rests on; a head alone without an invoice."""
    by_currency: dict[str, dict[Month, Decimal]] = {}
    for cost in costs_of(hub.institution_id):
        months = by_currency.setdefault(cost.currency, {})
        month = Month.parse(cost.month)
        months[month] = exact_sum([months.get(month, Decimal(0)), cost.net])
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(("month", "currency", "amount_before_tax", "basis"))
    this = Month.of(local_date(now(), hub.zone))
    for currency, history in sorted(by_currency.items()):
        for ahead in range(MONTHS_AHEAD):
            found = forecast(this.plus(ahead), history=history, so_far=Decimal(0), currency=currency)
            if found is not None:
                basis = f"average of the last {found.months} invoiced months of all the university's services"
                writer.writerow((str(this.plus(ahead)), currency, plain(found.amount), basis))
    return file.getvalue()
