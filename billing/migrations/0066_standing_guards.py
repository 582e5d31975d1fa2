"""What PostgreSQL refuses of the ladder: a rung without the one before it, or before its days are over."""

from django.db import migrations

from consortium.kernel.sql import FrozenAfter, StateTrigger, TenantPolicy

LADDER = """
CREATE FUNCTION billing_lapsestep_in_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    ladder jsonb;
    before text;
    days integer;
    since date;
BEGIN
    SELECT schedule -> 'lapse' INTO ladder FROM members_agreement
        WHERE id = NEW.agreement_id AND institution_id = NEW.institution_id;
    -- The rung before, and the days that the agreement gives until this one.
    before := CASE NEW.rung WHEN 'read_only' THEN 'notice' WHEN 'suspended' THEN 'read_only'
        WHEN 'retired' THEN 'suspended' END;
    days := (ladder ->> CASE NEW.rung WHEN 'notice' THEN 'notice_days' WHEN 'read_only' THEN 'read_only_days'
        WHEN 'suspended' THEN 'suspended_days' ELSE 'retired_days' END)::integer;
    IF days IS NULL THEN
        RAISE EXCEPTION 'The agreement has no ladder, so % is refused', NEW.rung USING ERRCODE = 'check_violation';
    END IF;
    IF before IS NULL THEN
        since := NEW.overdue_since;
    ELSE
        SELECT confirmed_on INTO since FROM billing_lapsestep
            WHERE agreement_id = NEW.agreement_id AND rung = before AND status = 'confirmed' FOR SHARE;
        IF since IS NULL THEN
            RAISE EXCEPTION '% is refused: % comes before it, and is not in force', NEW.rung, before
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    IF NEW.confirmed_on < since + days THEN
        RAISE EXCEPTION '% is refused before %: the agreement gives % days', NEW.rung, since + days, days
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_lapsestep_in_order BEFORE UPDATE ON billing_lapsestep
    FOR EACH ROW WHEN (NEW.status = 'confirmed' AND OLD.status <> 'confirmed')
    EXECUTE FUNCTION billing_lapsestep_in_order();
"""


# This is 0066_standing_guards.
class Migration(migrations.Migration):
    dependencies = [("billing", "0065_standing")]

    operations = [
        TenantPolicy("billing_lapsestep"),
        TenantPolicy("billing_hubstop"),
        StateTrigger(
            "billing.LapseStep.status",
            "billing_lapsestep",
            "status",
            {"proposed": ["confirmed", "dismissed"], "confirmed": ["lifted"], "dismissed": [], "lifted": []},
        ),
        FrozenAfter("billing_lapsestep", "status", ["proposed"], ["status", "ended_at"]),
        FrozenAfter("billing_hubstop", "cause", [], ["woken_at"]),
        migrations.RunSQL(
            [LADDER],
            "DROP TRIGGER billing_lapsestep_in_order ON billing_lapsestep;"
            "DROP FUNCTION billing_lapsestep_in_order();",
        ),
    ]
