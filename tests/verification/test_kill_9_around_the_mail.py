"""Promise 16, the last step: a worker killed before or after anything it says to the mail server.

SMTP cannot tell whether a mail went out when the one who sent it dies before it has written so down. So the portal
promises: every mail goes out; once, or twice where the server had taken it when the worker died, and then under the
same Message-ID, by which mail programs show one. No mail that was sent before in the same turn is sent again.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count

import pytest

from billing.models import Invoice
from billing.reminding import remind_due
from consortium.kernel import audit, outbox
from consortium.kernel.documents import store
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import OutgoingMail
from members.models import Seat
from members.roles import Role
from tests.verification.killed import World, open_world
from tests.verification.mortal import Act, Kill

THREE_DAYS_LATE = datetime(2026, 11, 4, 20, tzinfo=UTC)  # noon, where the invoice is


@pytest.fixture(scope="module")
def world(committed_db_of_all: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(committed_db_of_all, tmp_path_factory.mktemp("world")) as opened:
        yield opened


def reminder(world: World, invoice: Invoice) -> None:
    """The first reminder is due; two people of the university's finance office are to read it."""
    with consortium_scope(Scope.COMMAND):
        for person in (world.cast.finance, world.cast.owner):
            Seat.objects.create(
                institution_id=invoice.institution_id, user=person, role=Role.FINANCE, created_at=THREE_DAYS_LATE
            )
    remind_due(at=THREE_DAYS_LATE)


def invoice_mail(_world: World, invoice: Invoice) -> None:
    """The invoice was issued; its mail carries the PDF."""
    with consortium_scope(Scope.COMMAND):
        store(
            b"%PDF-1.7", kind="invoice", name="invoice.pdf", media_type="application/pdf", subject=invoice,
            institution_id=invoice.institution_id, at=THREE_DAYS_LATE, language="en",
        )  # fmt: skip
        audit.record(
            "billing.invoice_issued", invoice, by=audit.System("test"), at=THREE_DAYS_LATE,
            institution_id=invoice.institution_id, deliver_to=("billing.mail_invoice",),
        )  # fmt: skip


def states(invoice: Invoice) -> dict[str, str]:
    """Where each mail about the invoice stands, by its Message-ID."""
    with consortium_scope(Scope.COMMAND):
        rows = OutgoingMail.objects.filter(institution_id=invoice.institution_id)
        return {f"<{row.pk}@consortium.portal>": row.state for row in rows}


def lived(world: World, happens: Callable[[World, Invoice], None], kill: Kill, mails: int) -> tuple[bool, bool]:
    """Let mails be written, a worker die while it sends them, and the next one have its turn.

    Returns whether it died, and whether a mail went out twice for it.
    """
    invoice = world.invoice()
    happens(world, invoice)
    outbox.deliver_due(at=THREE_DAYS_LATE)
    assert list(states(invoice).values()) == ["queued"] * mails
    world.office.mails.clear()
    died = world.turn(Act("mail", {}), kill)
    written_down = [key for key, state in states(invoice).items() if state == "sent"]
    world.office.wait(len(written_down) + died)
    taken = Counter(str(mail["Message-ID"]) for mail in world.office.mails)
    assert taken.keys() >= set(written_down)
    world.next_turn(Act("mail", {}))
    world.office.wait(mails - len(written_down))
    in_the_end = Counter(str(mail["Message-ID"]) for mail in world.office.mails)
    assert states(invoice) == dict.fromkeys(in_the_end, "sent")
    doubled = taken.keys() - set(written_down)  # the server had it, and nobody knew
    assert in_the_end == {key: 2 if key in doubled else 1 for key in states(invoice)}
    return died, bool(doubled)


@pytest.mark.parametrize(("happens", "mails"), [(reminder, 2), (invoice_mail, 1)])
def test_killed_around_any_word_to_the_mail_server_a_worker_leaves_each_mail_sent_once_or_twice_under_one_name(
    world: World, happens: Callable[[World, Invoice], None], mails: int
) -> None:
    twice: list[str] = []
    for n in count(1):
        died, doubled = lived(world, happens, Kill("before", n), mails)
        if not died:
            break
        twice += [f"before {n}"] if doubled else []
        died, doubled = lived(world, happens, Kill("after", n), mails)
        assert died
        twice += [f"after {n}"] if doubled else []
    # A conversation is EHLO, MAIL, RCPT, DATA, the mail, QUIT: until the mail has gone over, it goes out once.
    assert n == 6 * mails + 1
    assert twice == [
        f"{side} {word + 6 * mail}"
        for mail in range(mails)
        for side, word in (("after", 5), ("before", 6), ("after", 6))
    ]
