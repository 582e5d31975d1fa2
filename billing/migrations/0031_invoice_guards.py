"""What PostgreSQL refuses of purchase orders, credit notes, charges, prepaid credit and billing runs."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy

ORDERS = """
CREATE FUNCTION billing_purchaseorder_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - 'closed_at' - 'asked_at') <> (to_jsonb(OLD) - 'closed_at' - 'asked_at')
        OR (OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at) THEN
        RAISE EXCEPTION 'Purchase order % is frozen: % is refused', OLD.number, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_purchaseorder_kept BEFORE UPDATE OR DELETE ON billing_purchaseorder
    FOR EACH ROW EXECUTE FUNCTION billing_purchaseorder_kept();

CREATE FUNCTION billing_purchaseorder_sums() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    order_key uuid := CASE TG_TABLE_NAME WHEN 'billing_purchaseorder' THEN NEW.id
        ELSE (to_jsonb(NEW) ->> 'purchase_order_id')::uuid END;
    said numeric;
    found numeric;
BEGIN
    SELECT amount INTO said FROM billing_purchaseorder WHERE id = order_key;
    SELECT coalesce(sum(amount), 0) INTO found FROM billing_purchaseorderline WHERE purchase_order_id = order_key;
    IF found <> said THEN
        RAISE EXCEPTION 'Purchase order %: its lines sum to %, it says %', order_key, found, said
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_purchaseorder_sums AFTER INSERT ON billing_purchaseorder
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_purchaseorder_sums();
CREATE CONSTRAINT TRIGGER billing_purchaseorderline_sums AFTER INSERT ON billing_purchaseorderline
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_purchaseorder_sums();

CREATE FUNCTION billing_purchaseorderuse_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    ordered billing_purchaseorder%ROWTYPE;
    billed billing_invoice%ROWTYPE;
    used numeric;
BEGIN
    -- The lock puts the uses of one order in a row: two invoices never share its last cent.
    SELECT * INTO ordered FROM billing_purchaseorder WHERE id = NEW.purchase_order_id FOR UPDATE;
    SELECT * INTO billed FROM billing_invoice WHERE id = NEW.invoice_id;
    SELECT coalesce(sum(amount), 0) INTO used FROM billing_purchaseorderuse WHERE purchase_order_id = NEW.purchase_order_id;
    IF ordered.billing_account_id <> billed.billing_account_id OR ordered.currency <> billed.currency
        OR ordered.institution_id <> NEW.institution_id THEN
        RAISE EXCEPTION 'Purchase order % is of another payer or currency than the invoice', ordered.number
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.amount > 0 AND (ordered.closed_at IS NOT NULL OR NOT ordered.valid @> NEW."on") THEN
        RAISE EXCEPTION 'Purchase order % does not hold on %', ordered.number, NEW."on" USING ERRCODE = 'check_violation';
    END IF;
    IF used + NEW.amount > ordered.amount OR used + NEW.amount < 0 THEN
        RAISE EXCEPTION 'Purchase order % of % would be used up to %', ordered.number, ordered.amount, used + NEW.amount
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_purchaseorderuse_fits BEFORE INSERT ON billing_purchaseorderuse
    FOR EACH ROW EXECUTE FUNCTION billing_purchaseorderuse_fits();

CREATE FUNCTION billing_invoice_ordered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    demanded boolean;
    taken numeric;
BEGIN
    IF NEW.status = 'issued' AND OLD.status <> 'issued' THEN
        SELECT po_required INTO demanded FROM billing_billingaccount WHERE id = NEW.billing_account_id;
        SELECT sum(amount) INTO taken FROM billing_purchaseorderuse WHERE invoice_id = NEW.id;
        IF (demanded AND NEW.total > 0 AND taken IS NULL) OR taken <> NEW.total THEN
            RAISE EXCEPTION 'Invoice %: its payer requires a purchase order with % left, it took %',
                NEW.id, NEW.total, coalesce(taken, 0) USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_invoice_ordered BEFORE UPDATE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_invoice_ordered();
"""

CREDITS = """
CREATE FUNCTION billing_creditnote_one_by_one() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    -- The lock puts the credit notes of one invoice in a row, so that the sums below see each other.
    PERFORM 1 FROM billing_invoice WHERE id = NEW.invoice_id AND number IS NOT NULL AND currency = NEW.currency
        AND institution_id = NEW.institution_id AND issuer_id = NEW.issuer_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'A credit note names an issued invoice of the same member, issuer and currency'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_creditnote_one_by_one BEFORE INSERT ON billing_creditnote
    FOR EACH ROW EXECUTE FUNCTION billing_creditnote_one_by_one();

CREATE FUNCTION billing_creditnote_within() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    note billing_creditnote%ROWTYPE;
    whole numeric;
    net numeric;
    tax numeric;
    wrong text;
BEGIN
    SELECT * INTO note FROM billing_creditnote WHERE id = CASE TG_TABLE_NAME WHEN 'billing_creditnote' THEN NEW.id
        ELSE (to_jsonb(NEW) ->> 'credit_note_id')::uuid END;
    SELECT coalesce(sum(l.net), 0) INTO net FROM billing_creditnoteline l WHERE l.credit_note_id = note.id;
    SELECT coalesce(sum(t.amount), 0) INTO tax FROM billing_creditnotetax t WHERE t.credit_note_id = note.id;
    IF net <> note.net_total OR tax <> note.tax_total THEN
        RAISE EXCEPTION 'Credit note %: lines sum to % and taxes to %, its totals say % and %',
            note.number, net, tax, note.net_total, note.tax_total USING ERRCODE = 'check_violation';
    END IF;
    SELECT string_agg('line ' || i.position, ', ') INTO wrong FROM billing_invoiceline i
        JOIN (SELECT l.invoice_line_id, sum(l.net) AS taken FROM billing_creditnoteline l
              JOIN billing_creditnote c ON c.id = l.credit_note_id WHERE c.invoice_id = note.invoice_id GROUP BY 1) s
        ON s.invoice_line_id = i.id
        WHERE s.taken * sign(i.net) > abs(i.net) OR s.taken * sign(i.net) < 0;
    IF wrong IS NULL THEN
        SELECT string_agg(i.tax, ', ') INTO wrong FROM billing_invoicelinetax i
            JOIN (SELECT t.line_tax_id, sum(t.amount) AS taken FROM billing_creditnotetax t
                  JOIN billing_creditnote c ON c.id = t.credit_note_id WHERE c.invoice_id = note.invoice_id GROUP BY 1) s
            ON s.line_tax_id = i.id
            WHERE s.taken * sign(i.amount) > abs(i.amount) OR s.taken * sign(i.amount) < 0
               OR (i.amount = 0 AND s.taken <> 0);
    END IF;
    IF wrong IS NULL THEN
        SELECT 'a line of another invoice' INTO wrong FROM billing_creditnoteline l
            JOIN billing_invoiceline i ON i.id = l.invoice_line_id
            WHERE l.credit_note_id = note.id AND i.invoice_id <> note.invoice_id
            UNION SELECT 'a tax of another invoice' FROM billing_creditnotetax t
            JOIN billing_invoicelinetax i ON i.id = t.line_tax_id
            WHERE t.credit_note_id = note.id AND i.invoice_id <> note.invoice_id LIMIT 1;
    END IF;
    SELECT sum(c.total) INTO whole FROM billing_creditnote c WHERE c.invoice_id = note.invoice_id;
    IF wrong IS NULL AND whole > (SELECT total FROM billing_invoice WHERE id = note.invoice_id) THEN
        wrong := 'the total';
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'Credit note % takes back more than its invoice charged: %', note.number, wrong
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_creditnote_within AFTER INSERT ON billing_creditnote
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_creditnote_within();
CREATE CONSTRAINT TRIGGER billing_creditnoteline_within AFTER INSERT ON billing_creditnoteline
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_creditnote_within();
CREATE CONSTRAINT TRIGGER billing_creditnotetax_within AFTER INSERT ON billing_creditnotetax
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_creditnote_within();

CREATE FUNCTION billing_invoice_void() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    IF NEW.status = 'void' AND OLD.status <> 'void' AND NEW.total <>
        (SELECT coalesce(sum(total), 0) FROM billing_creditnote WHERE invoice_id = NEW.id) THEN
        RAISE EXCEPTION 'Invoice % is voided by credit notes over all of it, and by nothing else', NEW.number
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_invoice_void BEFORE UPDATE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_invoice_void();
"""

CHARGES = """
CREATE FUNCTION billing_membercharge_kept() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    state text;
    charge billing_membercharge%ROWTYPE;
BEGIN
    IF TG_OP = 'INSERT' THEN charge := NEW; ELSE charge := OLD; END IF;
    SELECT status INTO state FROM billing_billingperiod
        WHERE issuer_id = charge.issuer_id AND month = charge.month FOR SHARE;
    IF state IS NOT NULL AND state <> 'open' THEN
        RAISE EXCEPTION 'A charge of % is refused: that month is %', charge.month, state USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND (OLD.cancelled_at IS NOT NULL
        OR (to_jsonb(NEW) - 'cancelled_at') <> (to_jsonb(OLD) - 'cancelled_at'))) THEN
        RAISE EXCEPTION 'A charge is never changed: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_membercharge_kept BEFORE INSERT OR UPDATE OR DELETE ON billing_membercharge
    FOR EACH ROW EXECUTE FUNCTION billing_membercharge_kept();

CREATE FUNCTION billing_prepaiduse_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    held numeric;
    used numeric;
BEGIN
    PERFORM 1 FROM billing_billingaccount WHERE id = NEW.billing_account_id FOR UPDATE;
    SELECT coalesce(sum(amount), 0) INTO held FROM billing_prepaid
        WHERE billing_account_id = NEW.billing_account_id AND currency = NEW.currency;
    SELECT coalesce(sum(amount), 0) INTO used FROM billing_prepaiduse
        WHERE billing_account_id = NEW.billing_account_id AND currency = NEW.currency;
    IF used + NEW.amount > held THEN
        RAISE EXCEPTION 'Prepaid credit of % % would be used up to %', held, NEW.currency, used + NEW.amount
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_prepaiduse_fits BEFORE INSERT ON billing_prepaiduse
    FOR EACH ROW EXECUTE FUNCTION billing_prepaiduse_fits();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0030_invoices_and_orders")]

    operations = [
        TenantPolicy("billing_purchaseorder"),
        TenantPolicy("billing_purchaseorderline"),
        TenantPolicy("billing_purchaseorderuse"),
        TenantPolicy("billing_creditnote"),
        TenantPolicy("billing_creditnoteline"),
        TenantPolicy("billing_creditnotetax"),
        TenantPolicy("billing_membercharge"),
        TenantPolicy("billing_prepaid"),
        TenantPolicy("billing_prepaiduse"),
        TenantPolicy("billing_taxcertificate"),
        AppendOnly("billing_purchaseorderline"),
        AppendOnly("billing_purchaseorderuse"),
        AppendOnly("billing_creditnote"),
        AppendOnly("billing_creditnoteline"),
        AppendOnly("billing_creditnotetax"),
        AppendOnly("billing_prepaid"),
        AppendOnly("billing_prepaiduse"),
        StateTrigger(
            "billing.BillingRun.status",
            "billing_billingrun",
            "status",
            {
                "preparing": ["prepared", "withdrawn"],
                "prepared": ["approved", "withdrawn"],
                "approved": ["finished"],
                "finished": [],
                "withdrawn": [],
            },
        ),
        FrozenAfter(
            "billing_billingrun",
            "status",
            ["preparing"],
            ["status", "approved_by_id", "approved_at", "finished_at"],
        ),
        migrations.RunSQL(
            [ORDERS],
            "DROP TRIGGER billing_invoice_ordered ON billing_invoice; DROP FUNCTION billing_invoice_ordered();"
            "DROP TRIGGER billing_purchaseorderuse_fits ON billing_purchaseorderuse;"
            "DROP FUNCTION billing_purchaseorderuse_fits();"
            "DROP TRIGGER billing_purchaseorderline_sums ON billing_purchaseorderline;"
            "DROP TRIGGER billing_purchaseorder_sums ON billing_purchaseorder; DROP FUNCTION billing_purchaseorder_sums();"
            "DROP TRIGGER billing_purchaseorder_kept ON billing_purchaseorder; DROP FUNCTION billing_purchaseorder_kept();",
        ),
        migrations.RunSQL(
            [CREDITS],
            "DROP TRIGGER billing_invoice_void ON billing_invoice; DROP FUNCTION billing_invoice_void();"
            "DROP TRIGGER billing_creditnotetax_within ON billing_creditnotetax;"
            "DROP TRIGGER billing_creditnoteline_within ON billing_creditnoteline;"
            "DROP TRIGGER billing_creditnote_within ON billing_creditnote; DROP FUNCTION billing_creditnote_within();"
            "DROP TRIGGER billing_creditnote_one_by_one ON billing_creditnote;"
            "DROP FUNCTION billing_creditnote_one_by_one();",
        ),
        migrations.RunSQL(
            [CHARGES],
            "DROP TRIGGER billing_prepaiduse_fits ON billing_prepaiduse; DROP FUNCTION billing_prepaiduse_fits();"
            "DROP TRIGGER billing_membercharge_kept ON billing_membercharge; DROP FUNCTION billing_membercharge_kept();",
        ),
    ]
