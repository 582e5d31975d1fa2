"""What PostgreSQL refuses of promises to pay: another wording afterwards, a word after the end, others' invoices."""

from django.db import migrations

from consortium.kernel.sql import StateTrigger, TenantPolicy

KEPT = """
CREATE FUNCTION billing_paymentpromise_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ended text[] := ARRAY['status', 'ended_by_id', 'ended_at'];
BEGIN
    IF TG_OP = 'DELETE' OR OLD.status <> 'open' OR (to_jsonb(NEW) - ended) <> (to_jsonb(OLD) - ended) THEN
        RAISE EXCEPTION 'Promise % is frozen: % is refused', OLD.id, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_paymentpromise_kept BEFORE UPDATE OR DELETE ON billing_paymentpromise
    FOR EACH ROW EXECUTE FUNCTION billing_paymentpromise_kept();
"""

NAMED = """
CREATE FUNCTION billing_promiseinvoice_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    said billing_paymentpromise%ROWTYPE;
BEGIN
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND (NOT OLD.live OR to_jsonb(NEW) - 'live' <> to_jsonb(OLD) - 'live') THEN
        RAISE EXCEPTION 'What promise % is about is frozen: % is refused', OLD.promise_id, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT * INTO said FROM billing_paymentpromise WHERE id = NEW.promise_id;
    IF NEW.live <> (said.status = 'open') OR said.institution_id <> NEW.institution_id OR NOT EXISTS (
        SELECT 1 FROM billing_invoice WHERE id = NEW.invoice_id AND institution_id = said.institution_id
            AND currency = said.currency
    ) THEN
        RAISE EXCEPTION 'A promise is about invoices of its member in its currency, live while it is open'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_promiseinvoice_fits BEFORE INSERT OR UPDATE OR DELETE ON billing_promiseinvoice
    FOR EACH ROW EXECUTE FUNCTION billing_promiseinvoice_fits();

CREATE FUNCTION billing_paymentpromise_live() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    now_status text;
BEGIN
    SELECT status INTO now_status FROM billing_paymentpromise WHERE id = NEW.id;
    IF NOT EXISTS (SELECT 1 FROM billing_promiseinvoice WHERE promise_id = NEW.id)
        OR EXISTS (SELECT 1 FROM billing_promiseinvoice WHERE promise_id = NEW.id AND live <> (now_status = 'open'))
    THEN
        RAISE EXCEPTION 'Promise % is about at least one invoice, each live while it is open', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_paymentpromise_live AFTER INSERT OR UPDATE ON billing_paymentpromise
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_paymentpromise_live();
"""


# This is 0076_promise_guards.
class Migration(migrations.Migration):
    dependencies = [("billing", "0075_promises")]

    operations = [
        TenantPolicy("billing_paymentpromise"),
        TenantPolicy("billing_promiseinvoice"),
        StateTrigger(
            "billing.PaymentPromise.status",
            "billing_paymentpromise",
            "status",
            {"open": ["broken", "kept", "withdrawn"], "kept": [], "broken": [], "withdrawn": []},
        ),
        migrations.RunSQL(
            [KEPT],
            "DROP TRIGGER billing_paymentpromise_kept ON billing_paymentpromise;"
            "DROP FUNCTION billing_paymentpromise_kept();",
        ),
        migrations.RunSQL(
            [NAMED],
            "DROP TRIGGER billing_paymentpromise_live ON billing_paymentpromise;"
            "DROP FUNCTION billing_paymentpromise_live();"
            "DROP TRIGGER billing_promiseinvoice_fits ON billing_promiseinvoice;"
            "DROP FUNCTION billing_promiseinvoice_fits();",
        ),
    ]
