"""Numbers may be taken several at once, and every one that was taken is on a document (0068_number_ranges)."""

from django.db import migrations

COUNTS = """
CREATE OR REPLACE FUNCTION billing_numberseries_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.next {bound} OR NEW.issuer_id <> OLD.issuer_id OR NEW.prefix <> OLD.prefix THEN
        RAISE EXCEPTION 'Number series % only counts up{words}', OLD.prefix USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""

USED = """
CREATE FUNCTION billing_numberseries_used() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    wanted text[];
    found bigint;
BEGIN
    -- At commit: what this transaction took off the series is on as many documents, so there is never a gap.
    SELECT array_agg(NEW.prefix || lpad(n::text, greatest(6, length(n::text)), '0')) INTO wanted
        FROM generate_series(OLD.next, NEW.next - 1) n;
    SELECT (SELECT count(*) FROM billing_invoice WHERE issuer_id = NEW.issuer_id AND number = ANY(wanted))
        + (SELECT count(*) FROM billing_creditnote WHERE issuer_id = NEW.issuer_id AND number = ANY(wanted)) INTO found;
    IF found <> NEW.next - OLD.next THEN
        RAISE EXCEPTION 'Number series %: % numbers were taken, % are on documents', NEW.prefix, NEW.next - OLD.next, found
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_numberseries_used AFTER UPDATE ON billing_numberseries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_numberseries_used();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0067_processor_queue")]

    operations = [
        migrations.RunSQL(
            [COUNTS.format(bound="<= OLD.next", words="")],
            [COUNTS.format(bound="<> OLD.next + 1", words=" by one")],
        ),
        migrations.RunSQL(
            [USED],
            "DROP TRIGGER billing_numberseries_used ON billing_numberseries; DROP FUNCTION billing_numberseries_used();",
        ),
    ]
