"""What a leaving university's bundle gets from the members' and the money's side."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
import yaml

from billing.models import CreditNote, Invoice
from consortium.kernel import documents
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.usecases import take_away
from consortium.usecases.take_away import members_and_money
from members.models import Agreement, Institution
from provisioning.leaving.bundle import complete, damaged_files, files_of
from provisioning.leaving.bundle import take_away as whole_bundle
from provisioning.leaving.runbook import runbook
from provisioning.models import Hub
from provisioning.specs import render_values
from tests.cast import Cast
from tests.unit.provisioning.stories import running_hub
from tests.unit.provisioning.test_specs import CILOGON, OIDC, spec

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


def kept(institution: Institution, subject: object, name: str, kind: str = "document") -> None:
    with consortium_scope(Scope.JOB):
        documents.store(
            name.encode(), kind=kind, name=name, media_type="application/pdf", subject=subject,  # type: ignore[arg-type]
            institution_id=institution.pk, at=AT,
        )  # fmt: skip


@pytest.fixture
def hub(cast: Cast) -> Hub:
    return running_hub(cast, at=now())


def test_agreements_and_invoices_of_this_university_and_of_no_other_are_in_the_bundle(cast: Cast, hub: Hub) -> None:
    kept(cast.university, Agreement(id=uuid4()), "agreement-v1-en.pdf")
    kept(cast.university, Invoice(id=uuid4()), "Invoice-ICC-1.pdf")
    kept(cast.university, CreditNote(id=uuid4()), "Credit-ICC-2.pdf")
    kept(cast.other_university, Invoice(id=uuid4()), "Invoice-of-others.pdf")

    with consortium_scope(Scope.JOB):
        parts = members_and_money(hub)

    assert set(parts) == {
        "agreement/2026-03-02-agreement-v1-en.pdf",
        "invoices/2026-03-02-Invoice-ICC-1.pdf",
        "invoices/2026-03-02-Credit-ICC-2.pdf",
        "cost-forecast.csv",
    }
    assert parts["invoices/2026-03-02-Invoice-ICC-1.pdf"] == b"Invoice-ICC-1.pdf"
    assert parts["cost-forecast.csv"].decode().splitlines() == ["month,currency,amount_before_tax,basis"]


def test_the_forecast_says_what_it_is_the_average_of(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    months = {"2026-01": "100.00", "2026-02": "200.00", "2026-03": "100.01"}
    rows = [SimpleNamespace(month=month, currency="CAD", net=Decimal(net)) for month, net in months.items()]
    monkeypatch.setattr(take_away, "costs_of", lambda _: rows)

    with consortium_scope(Scope.JOB):
        text = members_and_money(hub)["cost-forecast.csv"].decode()

    found = list(csv.DictReader(io.StringIO(text)))
    assert len(found) == 12
    assert {(row["currency"], row["amount_before_tax"]) for row in found} == {("CAD", "133.34")}
    assert "last 3 invoiced months" in found[0]["basis"]


def test_the_whole_bundle_can_be_checked_and_says_when_it_was_changed(hub: Hub, tmp_path: Path) -> None:
    class Place:
        def take_away(self, _target: object, given: object, *, into: Path) -> Path:
            from provisioning.gateways.local.bundle import write_bundle  # noqa: PLC0415

            return write_bundle(given, into=into)  # type: ignore[arg-type]

    path = whole_bundle(hub, spec(slug="cedar-stats"), Place(), into=tmp_path)  # type: ignore[arg-type]

    contents = files_of(path)
    assert damaged_files(contents) == []
    assert {"RUNBOOK.md", "users.csv", "usage.csv", "cost-forecast.csv", "values.yaml"} <= contents.keys()
    assert damaged_files({**contents, "values.yaml": b"evil", "more.txt": b""}) == ["more.txt", "values.yaml"]
    before = path.read_bytes()
    assert complete(path, {}).read_bytes() == before, "equal contents make equal bundles"


@pytest.mark.parametrize(
    ("sign_on", "text"),
    [
        (None, "SharedPasswordAuthenticator"),
        (OIDC, "Allow the redirect address https://YOUR-HOST/hub/oauth_callback at https://login.example/authorize"),
        (CILOGON, "Register the client with CILogon for https://idp.north.example/shibboleth"),
    ],
)
def test_the_runbook_says_which_secret_to_make(hub: Hub, sign_on: object, text: str) -> None:
    given = spec(slug="cedar-stats", **({"sign_on": sign_on} if sign_on else {}))
    words = runbook(hub, given)
    assert text in words
    assert "kubectl --namespace cedar-stats create secret generic cedar-stats-portal" in words
    (line,) = (line.strip().rstrip("'") for line in words.splitlines() if line.strip().startswith("hub: {config"))
    assert set(yaml.safe_load(line)["hub"]["config"]) <= render_values(given)["hub"]["config"].keys() | {
        "SharedPasswordAuthenticator"
    }, "what it tells to write is what the hub reads"
