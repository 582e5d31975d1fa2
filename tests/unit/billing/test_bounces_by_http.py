"""Mail that came back, handed over by a mail provider: taken once, and nothing is kept of what proves no sender."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from billing.bounce_webhook import LARGEST_BODY, signature_of
from billing.models import Invoice, InvoiceDelivery, MailBounce
from consortium.kernel.documents import store
from consortium.kernel.tenancy import Scope, consortium_scope
from tests.cast import Cast
from tests.unit.billing.came_back import issued, mails, report
from tests.unit.billing.issued import make_invoice

SECRET, NEXT = "a shared secret of the provider", "the one that comes after it"
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def a_door(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two secrets, one of which replaces the other, and a clock that stands still."""
    settings.SECURE_SSL_REDIRECT = False
    settings.MAIL_WEBHOOK_SECRETS = [NEXT, SECRET]
    monkeypatch.setattr("billing.bounce_webhook.now", lambda: NOW)


@pytest.fixture
def raw(cast: Cast) -> Iterator[bytes]:
    """The report about an invoice's mail."""
    invoice: Invoice = make_invoice(cast)
    with consortium_scope(Scope.STAFF):
        store(
            b"%PDF-1.7", kind="invoice", name="ICC-2026-0007.pdf", media_type="application/pdf", subject=invoice,
            institution_id=invoice.institution_id, at=NOW, language="en",
        )  # fmt: skip
        issued(cast, invoice)
        yield report(mails("billing_invoice")[0])


def post(
    body: bytes, signature: str, *, kind: str = "message/rfc822", visitor: str = "198.51.100.9"
) -> tuple[int, str]:
    headers = {"Portal-Signature": signature} if signature else {}
    answer = Client(REMOTE_ADDR=visitor).post("/webhooks/mail/", body, content_type=kind, headers=headers)
    return answer.status_code, answer.content.decode()


def test_a_bounce_is_taken_once_however_often_it_comes(raw: bytes) -> None:
    first = post(raw, signature_of(raw, secret=SECRET, at=NOW))
    copies = [post(raw, signature_of(raw, secret=secret, at=NOW)) for secret in (SECRET, NEXT)]
    assert [first, *copies] == [(200, "taken")] * 3
    assert MailBounce.objects.get().code == "5.1.1"
    assert InvoiceDelivery.objects.get().status == "bounced"
    other = b"Subject: out of office\r\n\r\nI am away."
    assert post(other, signature_of(other, secret=SECRET, at=NOW)) == (200, "passed over")


def test_nothing_is_kept_of_what_proves_no_sender(raw: bytes, settings: Any) -> None:
    good = signature_of(raw, secret=SECRET, at=NOW)
    late, early = NOW - timedelta(seconds=302), NOW + timedelta(seconds=302)
    moved = good.replace(f"t={int(NOW.timestamp())}", f"t={int(late.timestamp())}")
    forged = [
        (raw, "", 401, "bounce_unsigned"),
        (raw, "t=1,v1=abc", 401, "bounce_unsigned"),
        (raw, good.replace("v1=", "v0="), 401, "bounce_unsigned"),
        (raw, signature_of(raw, secret="another", at=NOW), 401, "bounce_signature"),
        (raw, signature_of(raw, secret="", at=NOW), 401, "bounce_signature"),
        (raw + b" ", good, 401, "bounce_signature"),
        (raw, moved, 401, "bounce_signature"),
        (raw, signature_of(raw, secret=SECRET, at=late), 401, "bounce_skew"),
        (raw, signature_of(raw, secret=SECRET, at=early), 401, "bounce_skew"),
        (b"x" * (LARGEST_BODY + 1), good, 413, "bounce_oversize"),
    ]
    for body, signature, status, code in forged:
        answer = post(body, signature)
        assert (answer[0], answer[1].partition(":")[0]) == (status, code)
    assert post(raw, good, kind="application/json")[0] == 415
    assert Client().get("/webhooks/mail/").status_code == 405
    settings.MAIL_WEBHOOK_SECRETS = []
    assert post(raw, signature_of(raw, secret="", at=NOW))[0] == 404
    assert not MailBounce.objects.exists()
    assert InvoiceDelivery.objects.get().status == "sent"


def test_a_flood_is_stopped(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("members.floods.A_MINUTE", 3)
    monkeypatch.setattr("members.floods.now", lambda: NOW)
    codes = [post(raw, "t=1,v1=abc", visitor="198.51.100.21")[0] for _ in range(5)]
    assert (codes[:3], codes[-1]) == ([401] * 3, 429)
    assert post(raw, signature_of(raw, secret=SECRET, at=NOW), visitor="198.51.100.22")[0] == 200
