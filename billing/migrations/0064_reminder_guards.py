"""What PostgreSQL refuses of reminders and arrangements: above all a reminder of what is not due."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy

DUE = """
CREATE FUNCTION billing_reminder_due() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    rest numeric;
    state text;
BEGIN
    -- Whoever reminds waits here for whoever pays, and the other way round.
    SELECT total - paid - credited INTO rest FROM billing_invoicebalance WHERE invoice_id = NEW.invoice_id FOR UPDATE;
    SELECT status INTO state FROM billing_invoice WHERE id = NEW.invoice_id AND institution_id = NEW.institution_id;
    IF state IS NULL OR state NOT IN ('issued', 'partly_paid') OR NEW.due + NEW.held > rest THEN
        RAISE EXCEPTION 'Nobody is reminded of % on an invoice that is % with % open', NEW.due, state, rest
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_reminder_due BEFORE INSERT ON billing_reminder
    FOR EACH ROW EXECUTE FUNCTION billing_reminder_due();
CREATE TRIGGER billing_reminder_still_due BEFORE UPDATE ON billing_reminder
    FOR EACH ROW WHEN (NEW.status = 'written' AND OLD.status <> 'written') EXECUTE FUNCTION billing_reminder_due();
"""

PARTS = """
CREATE FUNCTION billing_arrangement_sums() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    agreed billing_paymentarrangement%ROWTYPE;
    parts numeric;
    invoices numeric;
BEGIN
    SELECT * INTO agreed FROM billing_paymentarrangement WHERE id = CASE TG_TABLE_NAME
        WHEN 'billing_paymentarrangement' THEN NEW.id ELSE (to_jsonb(NEW) ->> 'arrangement_id')::uuid END;
    SELECT coalesce(sum(amount), 0) INTO parts FROM billing_arrangementpart WHERE arrangement_id = agreed.id;
    SELECT coalesce(sum(amount), 0) INTO invoices FROM billing_arrangementinvoice WHERE arrangement_id = agreed.id;
    IF parts <> agreed.total OR invoices <> agreed.total THEN
        RAISE EXCEPTION 'Arrangement of %: its parts come to %, its invoices to %', agreed.total, parts, invoices
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_paymentarrangement_sums AFTER INSERT ON billing_paymentarrangement
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_arrangement_sums();
CREATE CONSTRAINT TRIGGER billing_arrangementpart_sums AFTER INSERT ON billing_arrangementpart
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_arrangement_sums();
CREATE CONSTRAINT TRIGGER billing_arrangementinvoice_sums AFTER INSERT ON billing_arrangementinvoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_arrangement_sums();
"""


# This is 0064_reminder_guards.
class Migration(migrations.Migration):
    dependencies = [("billing", "0063_reminders")]

    operations = [
        TenantPolicy("billing_remindercalendar"),
        TenantPolicy("billing_reminder"),
        TenantPolicy("billing_paymentarrangement"),
        TenantPolicy("billing_arrangementinvoice"),
        TenantPolicy("billing_arrangementpart"),
        AppendOnly("billing_remindercalendar"),
        AppendOnly("billing_arrangementpart"),
        StateTrigger(
            "billing.Reminder.status",
            "billing_reminder",
            "status",
            {
                "wanted": ["handled", "overtaken", "passed", "written"],
                "written": [],
                "overtaken": [],
                "passed": [],
                "handled": [],
            },
        ),
        FrozenAfter("billing_reminder", "status", ["wanted"], []),
        StateTrigger(
            "billing.PaymentArrangement.status",
            "billing_paymentarrangement",
            "status",
            {"active": ["broken", "cancelled", "kept"], "kept": [], "broken": [], "cancelled": []},
        ),
        FrozenAfter("billing_paymentarrangement", "status", ["active"], []),
        migrations.RunSQL(
            [DUE],
            "DROP TRIGGER billing_reminder_still_due ON billing_reminder;"
            "DROP TRIGGER billing_reminder_due ON billing_reminder; DROP FUNCTION billing_reminder_due();",
        ),
        migrations.RunSQL(
            [PARTS],
            "DROP TRIGGER billing_arrangementinvoice_sums ON billing_arrangementinvoice;"
            "DROP TRIGGER billing_arrangementpart_sums ON billing_arrangementpart;"
            "DROP TRIGGER billing_paymentarrangement_sums ON billing_paymentarrangement;"
            "DROP FUNCTION billing_arrangement_sums();",
        ),
    ]
