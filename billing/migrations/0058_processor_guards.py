"""Tenancy, states and frozen rows of what a payment provider does; what refunds and payouts may sum to; reopened invoices.

This is 0058_processor_guards, after the tables of 0057_processor.
"""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy

REFUND_FITS = """
CREATE FUNCTION billing_refund_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    came record;
    back numeric;
BEGIN
    SELECT amount, currency, status, institution_id INTO came FROM billing_payment WHERE id = NEW.payment_id FOR UPDATE;
    SELECT coalesce(sum(amount), 0) INTO back FROM billing_refund
        WHERE payment_id = NEW.payment_id AND status NOT IN ('failed', 'withdrawn');
    IF came.status <> 'succeeded' OR came.currency <> NEW.currency OR came.institution_id <> NEW.institution_id
        OR back + NEW.amount > came.amount THEN
        RAISE EXCEPTION 'A refund of % % does not fit a payment of % % (%), of which % is given back',
            NEW.amount, NEW.currency, came.amount, came.currency, came.status, back USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_refund_fits BEFORE INSERT ON billing_refund
    FOR EACH ROW EXECUTE FUNCTION billing_refund_fits();
"""

PAYOUT_SUM = """
CREATE FUNCTION billing_payout_sum() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    wanted record;
    found numeric;
    strange integer;
BEGIN
    SELECT amount, currency, issuer_id INTO wanted FROM billing_payout WHERE id = NEW.payout_id;
    SELECT coalesce(sum(m.net), 0), count(*) FILTER (
            WHERE m.currency <> wanted.currency OR m.issuer_id <> wanted.issuer_id OR m.kind = 'payout')
        INTO found, strange
        FROM billing_payoutline l JOIN billing_clearingmovement m ON m.id = l.movement_id
        WHERE l.payout_id = NEW.payout_id;
    IF found <> wanted.amount OR strange > 0 THEN
        RAISE EXCEPTION 'Payout %: its lines sum to %, not to % % (% of another currency, issuer or kind)',
            NEW.payout_id, found, wanted.amount, wanted.currency, strange USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_payout_sum AFTER INSERT ON billing_payoutline
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_payout_sum();
"""

ARRIVAL = """
CREATE FUNCTION billing_payoutarrival_undone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.undone_at IS NOT NULL OR NEW.undone_at IS NULL
        OR (to_jsonb(NEW) - 'undone_at' - 'undone_by_id') <> (to_jsonb(OLD) - 'undone_at' - 'undone_by_id') THEN
        RAISE EXCEPTION 'The arrival of payout % can only be undone, once: % is refused', OLD.payout_id, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_payoutarrival_undone BEFORE UPDATE OR DELETE ON billing_payoutarrival
    FOR EACH ROW EXECUTE FUNCTION billing_payoutarrival_undone();
"""

REOPENED = """
CREATE FUNCTION billing_invoice_reopened() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    balance record;
BEGIN
    IF (OLD.status = 'paid' AND NEW.status IN ('partly_paid', 'issued'))
        OR (OLD.status = 'partly_paid' AND NEW.status = 'issued') THEN
        SELECT total, paid, credited INTO balance FROM billing_invoicebalance WHERE invoice_id = NEW.id;
        IF NOT EXISTS (
            SELECT 1 FROM billing_reopening r WHERE r.invoice_id = NEW.id AND r.transaction = txid_current()
        ) THEN
            RAISE EXCEPTION 'Invoice % may go back from % to % only with its reason, a Reopening',
                NEW.number, OLD.status, NEW.status USING ERRCODE = 'check_violation';
        END IF;
        IF balance.paid + balance.credited >= balance.total OR (balance.paid > 0) <> (NEW.status = 'partly_paid') THEN
            RAISE EXCEPTION 'Invoice % is paid % of %: it cannot be %',
                NEW.number, balance.paid, balance.total, NEW.status USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_invoice_reopened BEFORE UPDATE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_invoice_reopened();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0057_processor")]

    operations = [
        *(
            TenantPolicy(f"billing_{table}")
            for table in ("refund", "carddispute", "carddisputeanswer", "clearingmovement", "takenback", "reopening")
        ),
        *(
            AppendOnly(f"billing_{table}")
            for table in ("carddisputeanswer", "clearingmovement", "takenback", "reopening", "payoutline")
        ),
        StateTrigger(
            "billing.Invoice.status",
            "billing_invoice",
            "status",
            {
                "draft": ["approved", "discarded"],
                "approved": ["discarded", "issued"],
                "issued": ["paid", "partly_paid", "void", "written_off"],
                "partly_paid": ["issued", "paid", "written_off"],
                "paid": ["issued", "partly_paid"],
                "void": [],
                "written_off": [],
                "discarded": [],
            },
        ),
        StateTrigger(
            "billing.Refund.status",
            "billing_refund",
            "status",
            {
                "proposed": ["approved", "withdrawn"],
                "approved": ["failed", "pending", "succeeded"],
                "pending": ["failed", "succeeded"],
                "succeeded": ["failed"],
                "failed": [],
                "withdrawn": [],
            },
        ),
        StateTrigger(
            "billing.CardDispute.status",
            "billing_carddispute",
            "status",
            {
                "opened": ["closed", "inquiry", "lost", "needs_response", "under_review", "won"],
                "inquiry": ["closed", "lost", "needs_response", "under_review", "won"],
                "needs_response": ["closed", "lost", "under_review", "won"],
                "under_review": ["closed", "lost", "won"],
                "won": ["under_review"],
                "lost": ["under_review", "won"],
                "closed": [],
            },
        ),
        StateTrigger(
            "billing.Payout.status",
            "billing_payout",
            "status",
            {
                "pending": ["canceled", "failed", "in_transit", "paid"],
                "in_transit": ["canceled", "failed", "paid"],
                "paid": ["failed"],
                "failed": [],
                "canceled": [],
            },
        ),
        FrozenAfter(
            "billing_refund",
            "status",
            [],
            ["status", "provider_id", "approved_by_id", "approved_at", "settled_at", "failure"],
        ),
        FrozenAfter("billing_carddispute", "status", [], ["status", "evidence_due_at", "closed_at"]),
        FrozenAfter(
            "billing_payout", "status", [], ["status", "arrives_on", "reference", "failure", "problem"]
        ),
        migrations.RunSQL(
            [REFUND_FITS],
            "DROP TRIGGER billing_refund_fits ON billing_refund; DROP FUNCTION billing_refund_fits();",
        ),
        migrations.RunSQL(
            [PAYOUT_SUM],
            "DROP TRIGGER billing_payout_sum ON billing_payoutline; DROP FUNCTION billing_payout_sum();",
        ),
        migrations.RunSQL(
            [ARRIVAL],
            "DROP TRIGGER billing_payoutarrival_undone ON billing_payoutarrival;"
            "DROP FUNCTION billing_payoutarrival_undone();",
        ),
        migrations.RunSQL(
            [REOPENED],
            "DROP TRIGGER billing_invoice_reopened ON billing_invoice; DROP FUNCTION billing_invoice_reopened();",
        ),
    ]
