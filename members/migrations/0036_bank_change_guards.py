"""What PostgreSQL refuses of our bank details: rows that two people did not make, and every change of a row but its end."""

from django.db import migrations

from consortium.kernel.sql import StateTrigger

CHANGES = """
CREATE FUNCTION members_bankdetailschange_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    decided text[] := ARRAY['status', 'decided_by_id', 'decided_at'];
BEGIN
    IF TG_OP = 'DELETE' OR OLD.status <> 'waiting' OR (to_jsonb(NEW) - decided) <> (to_jsonb(OLD) - decided) THEN
        RAISE EXCEPTION 'Change of bank details % is frozen: % is refused', OLD.id, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER members_bankdetailschange_kept BEFORE UPDATE OR DELETE ON members_bankdetailschange
    FOR EACH ROW EXECUTE FUNCTION members_bankdetailschange_kept();

CREATE FUNCTION members_bankdetailschange_done() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'confirmed' AND NOT EXISTS (SELECT 1 FROM members_bankdetails WHERE change_id = NEW.id) THEN
        RAISE EXCEPTION 'Change of bank details % is confirmed, and no details came of it', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER members_bankdetailschange_done AFTER UPDATE ON members_bankdetailschange
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION members_bankdetailschange_done();
"""

DETAILS = """
CREATE FUNCTION members_bankdetails_by_two() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'Bank details are never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.change_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM members_bankdetailschange c WHERE c.id = NEW.change_id AND c.status = 'confirmed'
                AND (c.issuer_id, c.currency, c.bank, c.holder, c.account_number, c.routing, c.effective_on)
                = (NEW.issuer_id, NEW.currency, NEW.bank, NEW.holder, NEW.account_number, NEW.routing, lower(NEW.valid))
        ) THEN
            RAISE EXCEPTION 'Bank details are not what two people confirmed' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    -- Only the end is set, once, on the day on which details begin that two people confirmed.
    IF (to_jsonb(NEW) - 'valid') <> (to_jsonb(OLD) - 'valid') OR lower(NEW.valid) IS DISTINCT FROM lower(OLD.valid)
        OR NOT upper_inf(OLD.valid) OR NOT EXISTS (
            SELECT 1 FROM members_bankdetailschange c WHERE c.issuer_id = OLD.issuer_id AND c.currency = OLD.currency
                AND c.status = 'confirmed' AND c.effective_on = upper(NEW.valid)
        ) THEN
        RAISE EXCEPTION 'Bank details % change by two people', OLD.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER members_bankdetails_by_two BEFORE INSERT OR UPDATE OR DELETE ON members_bankdetails
    FOR EACH ROW EXECUTE FUNCTION members_bankdetails_by_two();

CREATE FUNCTION members_bankdetails_founded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One statement may write an issuer's first details, in every currency; after it two people do.
    IF EXISTS (
        SELECT 1 FROM written w JOIN members_bankdetails b ON b.issuer_id = w.issuer_id
        WHERE w.change_id IS NULL AND b.id NOT IN (SELECT id FROM written)
    ) THEN
        RAISE EXCEPTION 'The issuer has bank details: two people change them' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER members_bankdetails_founded AFTER INSERT ON members_bankdetails
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION members_bankdetails_founded();
"""


# This is 0036_bank_change_guards.
class Migration(migrations.Migration):
    dependencies = [("members", "0035_bank_changes")]

    operations = [
        StateTrigger(
            "members.BankDetailsChange.status",
            "members_bankdetailschange",
            "status",
            {"waiting": ["confirmed", "withdrawn"], "confirmed": [], "withdrawn": []},
        ),
        migrations.RunSQL(
            [CHANGES],
            "DROP TRIGGER members_bankdetailschange_done ON members_bankdetailschange;"
            "DROP FUNCTION members_bankdetailschange_done();"
            "DROP TRIGGER members_bankdetailschange_kept ON members_bankdetailschange;"
            "DROP FUNCTION members_bankdetailschange_kept();",
        ),
        migrations.RunSQL(
            [DETAILS],
            "DROP TRIGGER members_bankdetails_founded ON members_bankdetails; DROP FUNCTION members_bankdetails_founded();"
            "DROP TRIGGER members_bankdetails_by_two ON members_bankdetails; DROP FUNCTION members_bankdetails_by_two();",
        ),
    ]
