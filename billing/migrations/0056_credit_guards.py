"""What PostgreSQL refuses of proposed credits, and of what credit notes take back before it is earned."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, StateTrigger, TenantPolicy

KEPT = """
CREATE FUNCTION billing_creditproposal_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decided text[] := ARRAY['status', 'decided_by_id', 'decided_at', 'credit_note_id'];
BEGIN
    IF TG_OP = 'DELETE' OR OLD.status <> 'waiting' OR (to_jsonb(NEW) - decided) <> (to_jsonb(OLD) - decided) THEN
        RAISE EXCEPTION 'Credit proposal % is frozen: % is refused', OLD.id, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_creditproposal_kept BEFORE UPDATE OR DELETE ON billing_creditproposal
    FOR EACH ROW EXECUTE FUNCTION billing_creditproposal_kept();
"""

CUTS = """
CREATE FUNCTION billing_deferralcut_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    part billing_deferralpart%ROWTYPE;
    cut numeric;
BEGIN
    -- The lock puts the cuts of one part in a row, so that the sum below sees the others.
    SELECT * INTO part FROM billing_deferralpart WHERE id = NEW.part_id FOR UPDATE;
    SELECT coalesce(sum(amount), 0) INTO cut FROM billing_deferralcut WHERE part_id = NEW.part_id;
    cut := cut + NEW.amount;
    IF cut * sign(part.amount) < 0 OR abs(cut) > abs(part.amount) OR NEW.currency <> part.currency
        OR NEW.institution_id <> part.institution_id THEN
        RAISE EXCEPTION 'A credit takes % % back of the % % that are deferred to %',
            cut, NEW.currency, part.amount, part.currency, part.month USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM billing_ledgerentry WHERE kind = 'recognition' AND source_id = part.id) THEN
        RAISE EXCEPTION 'What was deferred to % is income already', part.month USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_deferralcut_fits BEFORE INSERT ON billing_deferralcut
    FOR EACH ROW EXECUTE FUNCTION billing_deferralcut_fits();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0055_credits_by_two")]

    operations = [
        TenantPolicy("billing_creditproposal"),
        TenantPolicy("billing_deferralcut"),
        AppendOnly("billing_deferralcut"),
        StateTrigger(
            "billing.CreditProposal.status",
            "billing_creditproposal",
            "status",
            {"waiting": ["issued", "withdrawn"], "issued": [], "withdrawn": []},
        ),
        migrations.RunSQL(
            [KEPT],
            "DROP TRIGGER billing_creditproposal_kept ON billing_creditproposal;"
            "DROP FUNCTION billing_creditproposal_kept();",
        ),
        migrations.RunSQL(
            [CUTS],
            "DROP TRIGGER billing_deferralcut_fits ON billing_deferralcut; DROP FUNCTION billing_deferralcut_fits();",
        ),
    ]
