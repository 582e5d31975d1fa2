"""Enough of Stripe for the demo and the tests: Checkout with its hosted page, refunds, disputes, signed webhooks.

The portal talks to it with Stripe's own library; only the address differs. Its state is one SQLite file in the home,
so that payments, idempotency keys and undelivered webhooks survive a restart. It speaks HTTP on 127.0.0.1 alone.
"""
