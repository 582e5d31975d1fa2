"""What the simulated Stripe tells the portal: signed, again until it is taken, doubled, turned round, lost, forged."""

from collections.abc import Callable

import pytest
import stripe

from consortium.embedded.stripe_simulator.forging import FORGERIES
from consortium.embedded.stripe_simulator.server import Simulator
from tests.integration.embedded.conftest import wait_until
from tests.integration.embedded.stripe_account import Receiver, connect, new_session, pay, pull


def test_signed_events_tell_of_the_payment(client: stripe.StripeClient, receiver: Receiver) -> None:
    session = new_session(client, metadata={"invoice": "7"})
    pay(session)
    wait_until(lambda: "checkout.session.completed" in receiver.types())
    event = next(event for event in receiver.arrived if event.type == "checkout.session.completed")
    assert event.data.object["id"] == session.id
    assert event.data.object["metadata"]["invoice"] == "7"
    assert client.v1.events.retrieve(event.id).type == event.type
    assert "payment_intent.succeeded" in [kept.type for kept in client.v1.events.list().data]


def test_an_event_is_sent_again_until_the_receiver_takes_it(client: stripe.StripeClient, receiver: Receiver) -> None:
    receiver.answers = [500]
    client.v1.customers.create(params={"name": "once more"})
    wait_until(lambda: len(receiver.arrived) == 2)
    assert receiver.arrived[0].id == receiver.arrived[1].id


def test_an_event_that_was_not_taken_survives_a_restart(start: Callable[[], Simulator], receiver: Receiver) -> None:
    simulator = start()
    pull(simulator, "webhooks", fail_next=1)
    connect(simulator).v1.customers.create(params={"name": "lost on the way"})
    wait_until(lambda: pull(simulator, "webhooks")["fail_next"] == 0)
    assert receiver.arrived == []
    start()
    wait_until(lambda: receiver.types() == ["customer.created"])


def test_events_are_doubled_and_turned_round_on_demand(
    simulator: Simulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    pull(simulator, "webhooks", copies=2, shuffle=True)
    pay(new_session(client))
    wait_until(lambda: len(receiver.arrived) == 8)
    kinds = receiver.types()
    assert all(kinds.count(kind) == 2 for kind in set(kinds))
    assert kinds.index("checkout.session.completed") < kinds.index("payment_intent.created")
    assert pull(simulator, "webhooks", copies=1, shuffle=False, resend="all")["resent"] == 4
    wait_until(lambda: len(receiver.arrived) == 12)


def test_a_message_that_is_lost_never_arrives_and_stands_in_the_list(
    simulator: Simulator, client: stripe.StripeClient, receiver: Receiver
) -> None:
    pull(simulator, "webhooks", lose_next=1)
    lost = client.v1.customers.create(params={"name": "unheard"})
    heard = client.v1.customers.create(params={"name": "heard"})
    wait_until(lambda: receiver.arrived != [])
    assert [event.data.object["id"] for event in receiver.arrived] == [heard.id]
    assert [event.data.object["id"] for event in client.v1.events.list().data] == [heard.id, lost.id]


def test_what_was_done_is_kept_when_its_answer_is_lost(simulator: Simulator, client: stripe.StripeClient) -> None:
    pull(simulator, "network", answers_lost=1)
    options: stripe.RequestOptions = {"idempotency_key": "lost"}
    with pytest.raises(stripe.APIConnectionError):
        client.v1.customers.create(params={"name": "once"}, options=options)
    again = client.v1.customers.create(params={"name": "once"}, options=options)
    assert [customer.id for customer in client.v1.customers.list().data] == [again.id]


def test_forgeries_are_refused_by_stripe_s_own_library_but_for_those_of_another_clock_account_or_kind(
    simulator: Simulator, receiver: Receiver
) -> None:
    accepted = {kind for kind in FORGERIES if pull(simulator, "forge", kind=kind)["status"] == 200}
    # These are why the portal looks closer than the library.
    assert accepted == {"from_the_future", "other_account", "other_mode", "wrong_type", "oversize"}
