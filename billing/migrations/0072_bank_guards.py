"""What PostgreSQL refuses of bank lines and their matches.

This is 0072_bank_guards, after the tables of 0071_bank.
"""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger

MATCHES = """
CREATE FUNCTION billing_bankmatch_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.undone_at IS NOT NULL OR NEW.undone_at IS NULL
        OR (to_jsonb(NEW) - 'undone_at' - 'undone_by_id' - 'undone_because')
            <> (to_jsonb(OLD) - 'undone_at' - 'undone_by_id' - 'undone_because') THEN
        RAISE EXCEPTION 'A match can only be undone, once: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_bankmatch_kept BEFORE UPDATE OR DELETE ON billing_bankmatch
    FOR EACH ROW EXECUTE FUNCTION billing_bankmatch_kept();

CREATE FUNCTION billing_bankline_explained() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    line_key uuid := CASE TG_TABLE_NAME WHEN 'billing_bankline' THEN NEW.id ELSE (to_jsonb(NEW) ->> 'line_id')::uuid END;
    line billing_bankline%ROWTYPE;
    explained numeric;
    wanted numeric;
    strange integer;
BEGIN
    SELECT * INTO line FROM billing_bankline WHERE id = line_key;
    SELECT coalesce(sum(amount), 0), count(*) FILTER (WHERE currency <> line.currency) INTO explained, strange
        FROM billing_bankmatch WHERE line_id = line_key AND undone_at IS NULL;
    wanted := CASE line.status WHEN 'matched' THEN line.amount ELSE 0 END;
    IF strange > 0 OR explained <> wanted THEN
        RAISE EXCEPTION 'Bank line % of % % is % and explained up to %',
            line_key, line.amount, line.currency, line.status, explained USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_bankline_explained AFTER INSERT OR UPDATE OF status ON billing_bankline
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_bankline_explained();
CREATE CONSTRAINT TRIGGER billing_bankmatch_explained AFTER INSERT OR UPDATE ON billing_bankmatch
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_bankline_explained();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0071_bank")]

    operations = [
        AppendOnly("billing_bankstatement"),
        StateTrigger(
            "billing.BankLine.status",
            "billing_bankline",
            "status",
            {"open": ["matched", "parked"], "matched": ["open"], "parked": ["open"]},
        ),
        FrozenAfter("billing_bankline", "status", [], ["status", "parked_reason", "moved_by_id", "moved_at"]),
        migrations.RunSQL(
            [MATCHES],
            "DROP TRIGGER billing_bankmatch_explained ON billing_bankmatch;"
            "DROP TRIGGER billing_bankline_explained ON billing_bankline; DROP FUNCTION billing_bankline_explained();"
            "DROP TRIGGER billing_bankmatch_kept ON billing_bankmatch; DROP FUNCTION billing_bankmatch_kept();",
        ),
    ]
