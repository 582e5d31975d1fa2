"""What PostgreSQL refuses of received money: applications and credit; and the rows of before."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy

CARRY_OVER = """
INSERT INTO billing_application (institution_id, invoice_id, payment_id, amount, currency, at)
SELECT p.institution_id, p.invoice_id, p.id, -l.amount, p.currency, p.succeeded_at
FROM billing_payment p
JOIN billing_ledgerentry e ON e.kind = 'payment' AND e.source_id = p.id
JOIN billing_ledgerleg l ON l.entry_id = e.id
JOIN billing_ledgeraccount a ON a.id = l.account_id AND a.code = '1100'
WHERE p.status = 'succeeded';

INSERT INTO billing_application (institution_id, invoice_id, payment_id, taken_back_id, amount, currency, at)
SELECT t.institution_id, p.invoice_id, p.id, t.id, -t.reopened, t.currency, t.at
FROM billing_takenback t JOIN billing_payment p ON p.id = t.payment_id WHERE t.reopened <> 0;

-- What the books hold for each member, without its prepaid credit, is one credit of that day.
INSERT INTO billing_membercredit
    (institution_id, issuer_id, amount, currency, source_type, source_id, about, received_on, created_at)
SELECT institution_id, issuer_id, sum(held), currency, 'billing.LedgerEntry',
    md5(institution_id::text || issuer_id::text || currency)::uuid, 'Carried over', current_date, now()
FROM (
    SELECT e.institution_id, e.issuer_id, l.currency, -l.amount AS held FROM billing_ledgerleg l
    JOIN billing_ledgerentry e ON e.id = l.entry_id JOIN billing_ledgeraccount a ON a.id = l.account_id
    WHERE a.code = '2200' AND e.institution_id IS NOT NULL
    UNION ALL
    SELECT p.institution_id, b.issuer_id, p.currency, -p.amount FROM billing_prepaid p
    JOIN billing_billingaccount b ON b.id = p.billing_account_id
    UNION ALL
    SELECT u.institution_id, b.issuer_id, u.currency, u.amount FROM billing_prepaiduse u
    JOIN billing_billingaccount b ON b.id = u.billing_account_id
) before GROUP BY institution_id, issuer_id, currency HAVING sum(held) > 0;
"""

PAID = """
CREATE FUNCTION billing_invoice_paid() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    invoice_key uuid := (to_jsonb(NEW) ->> 'invoice_id')::uuid;
    said numeric;
    applied numeric;
BEGIN
    SELECT paid INTO said FROM billing_invoicebalance WHERE invoice_id = invoice_key;
    SELECT coalesce(sum(amount), 0) INTO applied FROM billing_application WHERE invoice_id = invoice_key;
    IF said IS DISTINCT FROM applied THEN
        RAISE EXCEPTION 'Invoice %: its balance says % is paid, what was put on it sums to %', invoice_key, said, applied
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_application_paid AFTER INSERT ON billing_application
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_invoice_paid();
CREATE CONSTRAINT TRIGGER billing_invoicebalance_paid AFTER INSERT OR UPDATE OF paid ON billing_invoicebalance
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_invoice_paid();
"""

FITS = """
CREATE FUNCTION billing_application_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    PERFORM 1 FROM billing_invoice i WHERE i.id = NEW.invoice_id AND i.institution_id = NEW.institution_id
        AND i.currency = NEW.currency AND i.number IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Money is put on an issued invoice of the same member and currency' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.payment_id IS NOT NULL THEN
        PERFORM 1 FROM billing_payment p WHERE p.id = NEW.payment_id AND p.invoice_id = NEW.invoice_id
            AND p.status = 'succeeded' AND p.currency = NEW.currency AND NEW.amount <= p.amount;
    ELSE
        PERFORM 1 FROM billing_membercredituse u WHERE u.id = NEW.credit_use_id AND u.invoice_id = NEW.invoice_id
            AND u.amount = NEW.amount AND u.currency = NEW.currency;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'What is put on an invoice is of a payment of it that arrived, or of credit used for it'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_application_fits BEFORE INSERT ON billing_application
    FOR EACH ROW EXECUTE FUNCTION billing_application_fits();

CREATE FUNCTION billing_membercredituse_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    held billing_membercredit%ROWTYPE;
    used numeric;
BEGIN
    -- The lock puts the uses of one credit in a row: its last cent is used once.
    SELECT * INTO held FROM billing_membercredit WHERE id = NEW.credit_id FOR UPDATE;
    SELECT coalesce(sum(amount), 0) INTO used FROM billing_membercredituse WHERE credit_id = NEW.credit_id;
    IF held.institution_id <> NEW.institution_id OR held.currency <> NEW.currency THEN
        RAISE EXCEPTION 'Credit of % % is of another member or currency', held.amount, held.currency
            USING ERRCODE = 'check_violation';
    END IF;
    IF used + NEW.amount > held.amount THEN
        RAISE EXCEPTION 'Credit of % % would be used up to %', held.amount, held.currency, used + NEW.amount
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.reverses_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM billing_membercredituse u WHERE u.id = NEW.reverses_id AND u.credit_id = NEW.credit_id
            AND u.amount = -NEW.amount AND u.kind = NEW.kind AND u.invoice_id IS NOT DISTINCT FROM NEW.invoice_id
    ) THEN
        RAISE EXCEPTION 'A use of credit is undone as it was made' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_membercredituse_fits BEFORE INSERT ON billing_membercredituse
    FOR EACH ROW EXECUTE FUNCTION billing_membercredituse_fits();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0069_receiving")]

    operations = [
        migrations.RunSQL([CARRY_OVER], migrations.RunSQL.noop),
        TenantPolicy("billing_application"),
        TenantPolicy("billing_membercredit"),
        TenantPolicy("billing_membercredituse"),
        AppendOnly("billing_application"),
        AppendOnly("billing_membercredit"),
        AppendOnly("billing_membercredituse"),
        FrozenAfter(
            "billing_payment",
            "status",
            ["created", "pending", "failed"],
            ["status", "session_id", "session_url", "failure"],
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
                "written_off": ["issued", "paid", "partly_paid"],
                "discarded": [],
            },
        ),
        migrations.RunSQL(
            [PAID],
            "DROP TRIGGER billing_application_paid ON billing_application;"
            "DROP TRIGGER billing_invoicebalance_paid ON billing_invoicebalance; DROP FUNCTION billing_invoice_paid();",
        ),
        migrations.RunSQL(
            [FITS],
            "DROP TRIGGER billing_application_fits ON billing_application; DROP FUNCTION billing_application_fits();"
            "DROP TRIGGER billing_membercredituse_fits ON billing_membercredituse;"
            "DROP FUNCTION billing_membercredituse_fits();",
        ),
    ]
