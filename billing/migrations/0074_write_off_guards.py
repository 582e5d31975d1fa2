"""What PostgreSQL refuses of write-offs: one person's, more or less than the rest, what does not add up with the balance."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, StateTrigger, TenantPolicy

WRITE_OFFS = """
CREATE FUNCTION billing_writeoff_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decided text[] := ARRAY['status', 'decided_by_id', 'decided_at'];
BEGIN
    IF TG_OP = 'DELETE' OR OLD.status <> 'waiting' OR (to_jsonb(NEW) - decided) <> (to_jsonb(OLD) - decided) THEN
        RAISE EXCEPTION 'Write-off % is frozen: % is refused', OLD.id, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_writeoff_kept BEFORE UPDATE OR DELETE ON billing_writeoff
    FOR EACH ROW EXECUTE FUNCTION billing_writeoff_kept();

CREATE FUNCTION billing_invoice_written_off() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    IF NEW.status = 'written_off' AND OLD.status <> 'written_off' AND NOT EXISTS (
        SELECT 1 FROM billing_invoicebalance b WHERE b.invoice_id = NEW.id AND b.written_off > 0
            AND b.total = b.paid + b.credited + b.written_off
    ) THEN
        RAISE EXCEPTION 'Invoice % is written off by two people, over all that is due', NEW.number
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_invoice_written_off BEFORE UPDATE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_invoice_written_off();

CREATE FUNCTION billing_invoice_given_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    invoice_key uuid;
    said numeric;
    given numeric;
    came numeric;
BEGIN
    IF TG_TABLE_NAME = 'billing_recovery' THEN
        SELECT invoice_id INTO invoice_key FROM billing_writeoff WHERE id = (to_jsonb(NEW) ->> 'write_off_id')::uuid;
    ELSE
        invoice_key := (to_jsonb(NEW) ->> 'invoice_id')::uuid;
    END IF;
    SELECT written_off INTO said FROM billing_invoicebalance WHERE invoice_id = invoice_key;
    SELECT coalesce(sum(amount), 0) INTO given FROM billing_writeoff
        WHERE invoice_id = invoice_key AND status = 'approved' AND decided_by_id <> proposed_by_id;
    SELECT coalesce(sum(r.amount), 0) INTO came FROM billing_recovery r JOIN billing_writeoff w ON w.id = r.write_off_id
        WHERE w.invoice_id = invoice_key;
    IF said IS DISTINCT FROM given - came THEN
        RAISE EXCEPTION 'Invoice %: its balance says % is written off, two people gave up % of which % came',
            invoice_key, said, given, came USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_invoicebalance_given_up AFTER INSERT OR UPDATE OF written_off ON billing_invoicebalance
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_invoice_given_up();
CREATE CONSTRAINT TRIGGER billing_writeoff_given_up AFTER INSERT OR UPDATE ON billing_writeoff
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_invoice_given_up();
CREATE CONSTRAINT TRIGGER billing_recovery_given_up AFTER INSERT ON billing_recovery
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_invoice_given_up();
"""

RECOVERIES = """
CREATE FUNCTION billing_recovery_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    given billing_writeoff%ROWTYPE;
    came numeric;
BEGIN
    -- The lock puts the recoveries of one write-off in a row, so that the sum below sees the others.
    SELECT * INTO given FROM billing_writeoff WHERE id = NEW.write_off_id FOR UPDATE;
    SELECT coalesce(sum(amount), 0) + NEW.amount INTO came FROM billing_recovery WHERE write_off_id = NEW.write_off_id;
    IF given.status <> 'approved' OR given.currency <> NEW.currency OR given.institution_id <> NEW.institution_id THEN
        RAISE EXCEPTION 'A recovery is of an approved write-off, of its member and in its currency'
            USING ERRCODE = 'check_violation';
    END IF;
    IF came > given.amount THEN
        RAISE EXCEPTION 'Of % % that were written off, % would be recovered', given.amount, given.currency, came
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_recovery_fits BEFORE INSERT ON billing_recovery
    FOR EACH ROW EXECUTE FUNCTION billing_recovery_fits();
"""


# This is 0074_write_off_guards.
class Migration(migrations.Migration):
    dependencies = [("billing", "0073_write_offs")]

    operations = [
        TenantPolicy("billing_writeoff"),
        TenantPolicy("billing_recovery"),
        AppendOnly("billing_recovery"),
        StateTrigger(
            "billing.WriteOff.status",
            "billing_writeoff",
            "status",
            {"waiting": ["approved", "withdrawn"], "approved": [], "withdrawn": []},
        ),
        migrations.RunSQL(
            [WRITE_OFFS],
            "DROP TRIGGER billing_recovery_given_up ON billing_recovery;"
            "DROP TRIGGER billing_writeoff_given_up ON billing_writeoff;"
            "DROP TRIGGER billing_invoicebalance_given_up ON billing_invoicebalance;"
            "DROP FUNCTION billing_invoice_given_up();"
            "DROP TRIGGER billing_invoice_written_off ON billing_invoice; DROP FUNCTION billing_invoice_written_off();"
            "DROP TRIGGER billing_writeoff_kept ON billing_writeoff; DROP FUNCTION billing_writeoff_kept();",
        ),
        migrations.RunSQL(
            [RECOVERIES],
            "DROP TRIGGER billing_recovery_fits ON billing_recovery; DROP FUNCTION billing_recovery_fits();",
        ),
    ]
