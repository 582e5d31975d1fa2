"""How money that went back is told: mails to the payer in its language, the invoice's timeline, the statement."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from billing.models import Invoice
from billing.refunds import propose_refund, send_refund
from billing.statement_of_account import statement_csv, statements
from billing.statements import happenings
from consortium.kernel import outbox
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import OutgoingMail
from tests.cast import Cast
from tests.integration.members.browser import signed_in, text_of
from tests.unit.billing.checkout import Till, open_till
from tests.unit.billing.issued import make_invoice
from tests.unit.billing.paid import TOTAL, paid_by_card, paid_by_debit


@pytest.fixture
def till(tmp_path: Path, settings: Any) -> Iterator[Till]:
    settings.SECURE_SSL_REDIRECT = False
    with open_till(tmp_path) as opened:
        yield opened


def mail(template: str) -> OutgoingMail:
    outbox.deliver_due(at=datetime.now(UTC) + timedelta(seconds=5))
    with consortium_scope(Scope.COMMAND):
        return OutgoingMail.objects.get(template=template)


def story_of(invoice: Invoice) -> list[str]:
    with institution_scope(invoice.institution_id), translation.override("en"):
        return [each.title for each in happenings(invoice)]


def test_a_refund_is_told_by_mail_timeline_and_statement(cast: Cast, till: Till, at: datetime) -> None:
    invoice = make_invoice(cast, language="fr")
    payment = paid_by_card(till, invoice, at=at)
    now = datetime.now(UTC)
    with consortium_scope(Scope.STAFF):
        row = propose_refund(payment, amount=Decimal("367.90"), reason="Payé deux fois.", by=cast.staff, at=now)
    send_refund(row, at=now, gateway=till.gateway)
    sent = mail("billing_refund")
    assert (sent.recipient, sent.language) == ("payables@cedar.example", "fr")
    assert sent.subject == "Remboursement sur la facture ICC-2026-0007"
    for words in ("367,90\N{NO-BREAK SPACE}CAD", "Payé deux fois.", "sur la carte qui a payé", "est à payer"):
        assert words in sent.body, sent.body
    assert story_of(invoice) == ["Refunded", "Payment received", "Issued"]
    with institution_scope(invoice.institution_id):
        found = statements(
            invoice.institution_id, first_day=date(2026, 10, 1), last_day=date(2026, 12, 31), zone="America/Vancouver"
        )
        assert found[0].closing == Decimal("367.90")
        rows = list(csv.reader(io.StringIO(statement_csv(found))))
    assert [row[2] for row in rows[1:]] == ["opening", "invoice", "payment", "money_back", "closing"]
    assert "Refunded" in text_of(signed_in(cast.finance).get(f"/en/i/cedar/invoices/{invoice.pk}/"))


def test_a_returned_debit_and_a_disputed_card_are_told_each_in_its_way(cast: Cast, till: Till, at: datetime) -> None:
    returned = make_invoice(cast)
    debit = paid_by_debit(till, returned, at=at)
    till.pull("return_debit", payment_intent=debit.intent_id)
    till.hear_new()
    sent = mail("billing_debit_returned")
    assert sent.subject == "The bank returned the payment of invoice ICC-2026-0007"
    for words in ("2,367.90\N{NO-BREAK SPACE}CAD is due again", "not enough money in the account", "/en/pay/"):
        assert words in sent.body, sent.body
    assert story_of(returned)[:2] == ["The bank returned the debit", "Payment received"]
    disputed = make_invoice(cast, number="ICC-2026-0008")
    card = paid_by_card(till, disputed, at=at)
    dispute = till.pull("dispute", payment_intent=card.intent_id, reason="unrecognized")
    till.hear_new()
    sent = mail("billing_card_disputed")
    for words in ("has taken back 2,367.90", "does not recognise the payment", "no reminder of this amount"):
        assert words in sent.body, sent.body
    till.pull("close_dispute", dispute=dispute["id"], won=True)
    till.hear_new()
    assert story_of(disputed)[:2] == ["The bank gave the payment back to us", "Disputed at the card's bank"]
    with institution_scope(disputed.institution_id):
        found = statements(
            disputed.institution_id, first_day=date(2026, 1, 1), last_day=date(2026, 12, 31), zone="America/Vancouver"
        )
        assert found[0].closing == TOTAL
