"""Tenancy, states, frozen and append-only rows of the app; the ledger's balance; an invoice's sums."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, FrozenWithParent, StateTrigger, TenantPolicy

BALANCE = """
CREATE FUNCTION billing_ledger_balances() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    entry_key uuid := CASE TG_TABLE_NAME WHEN 'billing_ledgerentry' THEN NEW.id
        ELSE (to_jsonb(NEW) ->> 'entry_id')::uuid END;
    wanted integer;
    found integer;
    wrong text;
BEGIN
    SELECT leg_count INTO wanted FROM billing_ledgerentry WHERE id = entry_key;
    SELECT count(*) INTO found FROM billing_ledgerleg WHERE entry_id = entry_key;
    IF found <> wanted THEN
        RAISE EXCEPTION 'Ledger entry % was posted with % legs and now has %', entry_key, wanted, found
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT string_agg(currency || ' ' || total, ', ') INTO wrong FROM (
        SELECT currency, sum(amount) AS total FROM billing_ledgerleg WHERE entry_id = entry_key GROUP BY currency
    ) sums WHERE total <> 0;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'Ledger entry % does not balance: %', entry_key, wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_ledgerentry_balances AFTER INSERT ON billing_ledgerentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_ledger_balances();
CREATE CONSTRAINT TRIGGER billing_ledgerleg_balances AFTER INSERT ON billing_ledgerleg
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_ledger_balances();
"""

SUMS = """
CREATE FUNCTION billing_invoice_sums() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    net numeric;
    tax numeric;
BEGIN
    IF NEW.status = 'issued' AND OLD.status <> 'issued' THEN
        SELECT coalesce(sum(l.net), 0) INTO net FROM billing_invoiceline l WHERE l.invoice_id = NEW.id;
        SELECT coalesce(sum(t.amount), 0) INTO tax FROM billing_invoicelinetax t WHERE t.invoice_id = NEW.id;
        IF net <> NEW.net_total OR tax <> NEW.tax_total THEN
            RAISE EXCEPTION 'Invoice %: lines sum to % and taxes to %, its totals say % and %',
                NEW.id, net, tax, NEW.net_total, NEW.tax_total USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_invoice_sums BEFORE UPDATE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_invoice_sums();
"""


COUNTER = """
CREATE FUNCTION billing_numberseries_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.next <> OLD.next + 1 OR NEW.issuer_id <> OLD.issuer_id OR NEW.prefix <> OLD.prefix THEN
        RAISE EXCEPTION 'Number series % only counts up by one', OLD.prefix USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_numberseries_counts BEFORE UPDATE OR DELETE ON billing_numberseries
    FOR EACH ROW EXECUTE FUNCTION billing_numberseries_counts();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("consortium", "0002_guards")]

    operations = [
        TenantPolicy("billing_billingaccount"),
        TenantPolicy("billing_costrow"),
        TenantPolicy("billing_periodbasis"),
        TenantPolicy("billing_share"),
        TenantPolicy("billing_invoice"),
        TenantPolicy("billing_invoiceline"),
        TenantPolicy("billing_invoicelinetax"),
        TenantPolicy("billing_invoicebalance"),
        TenantPolicy("billing_ledgerentry"),
        TenantPolicy("billing_ledgerleg"),
        TenantPolicy("billing_payment"),
        TenantPolicy("billing_paylink"),
        AppendOnly("billing_fxrate"),
        AppendOnly("billing_billimport"),
        AppendOnly("billing_costrow"),
        AppendOnly("billing_periodbasis"),
        AppendOnly("billing_pool"),
        AppendOnly("billing_share"),
        AppendOnly("billing_ledgerentry"),
        AppendOnly("billing_ledgerleg"),
        StateTrigger(
            "billing.BillingPeriod.status",
            "billing_billingperiod",
            "status",
            {
                "open": ["closing"],
                "closing": ["closed", "open"],
                "closed": [],
            },
        ),
        StateTrigger(
            "billing.Invoice.status",
            "billing_invoice",
            "status",
            {
                "draft": ["approved", "discarded"],
                "approved": ["discarded", "issued"],
                "issued": ["paid", "partly_paid", "void", "written_off"],
                "partly_paid": ["paid", "written_off"],
                "paid": [],
                "void": [],
                "written_off": [],
                "discarded": [],
            },
        ),
        StateTrigger(
            "billing.Payment.status",
            "billing_payment",
            "status",
            {
                "created": ["failed", "pending", "succeeded"],
                "pending": ["failed", "succeeded"],
                "failed": ["pending", "succeeded"],
                "succeeded": [],
            },
        ),
        FrozenAfter("billing_billingperiod", "status", ["open", "closing"], ["status"]),
        FrozenAfter("billing_invoice", "status", ["draft", "approved"], ["status"]),
        FrozenWithParent("billing_invoiceline", "invoice_id", "billing_invoice", "status", ["draft"]),
        FrozenWithParent("billing_invoicelinetax", "invoice_id", "billing_invoice", "status", ["draft"]),
        migrations.RunSQL(
            [COUNTER],
            "DROP TRIGGER billing_numberseries_counts ON billing_numberseries;"
            "DROP FUNCTION billing_numberseries_counts();",
        ),
        migrations.RunSQL(
            [BALANCE],
            "DROP TRIGGER billing_ledgerleg_balances ON billing_ledgerleg;"
            "DROP TRIGGER billing_ledgerentry_balances ON billing_ledgerentry; DROP FUNCTION billing_ledger_balances();",
        ),
        migrations.RunSQL(
            [SUMS], "DROP TRIGGER billing_invoice_sums ON billing_invoice; DROP FUNCTION billing_invoice_sums();"
        ),
    ]
