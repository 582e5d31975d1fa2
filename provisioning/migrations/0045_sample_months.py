"""Samples by month: each UTC month is a partition, made ahead, and dropped whole when old (0045_sample_months).

Rows that are there already move into the partitions of their months. A row whose month has no partition yet waits in
the default one, so that no look of the meter is ever lost; making its month's partition moves it. The application's
role may make and drop partitions only through the two functions below, and reaches none of them past the table's
policy: a partition has row-level security and no policy of its own.
"""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, TenantPolicy

PARTITION = """
ALTER TABLE provisioning_sample RENAME TO provisioning_sample_old;
ALTER TABLE provisioning_sample_old RENAME CONSTRAINT sample_once TO sample_once_old;
ALTER INDEX provisioning_sample_pkey RENAME TO provisioning_sample_old_pkey;
CREATE TABLE provisioning_sample (LIKE provisioning_sample_old INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (at);
ALTER TABLE provisioning_sample
    ADD PRIMARY KEY (id, at),
    ADD CONSTRAINT sample_once UNIQUE (hub_id, at, pseudonym, server),
    ADD FOREIGN KEY (hub_id) REFERENCES provisioning_hub DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (institution_id) REFERENCES members_institution DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE provisioning_sample_default PARTITION OF provisioning_sample DEFAULT;
ALTER TABLE provisioning_sample_default ENABLE ROW LEVEL SECURITY;
"""

MAKE = """
CREATE FUNCTION provisioning_make_sample_month(first date) RETURNS boolean LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    name text := 'provisioning_sample_' || to_char(first, 'YYYY_MM');
    following date := first + interval '1 month';
    lower timestamptz := make_timestamptz(extract(year FROM first)::int, extract(month FROM first)::int, 1, 0, 0, 0, 'UTC');
    upper timestamptz := make_timestamptz(
        extract(year FROM following)::int, extract(month FROM following)::int, 1, 0, 0, 0, 'UTC');
BEGIN
    IF extract(day FROM first) <> 1 THEN
        RAISE EXCEPTION '% is not the first day of a month', first USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOCK TABLE provisioning_sample IN SHARE ROW EXCLUSIVE MODE;
    IF to_regclass('public.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE provisioning_sample INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    IF EXISTS (SELECT FROM provisioning_sample_default WHERE at >= lower AND at < upper) THEN
        ALTER TABLE provisioning_sample_default DISABLE TRIGGER USER;
        EXECUTE format(
            'WITH moved AS (DELETE FROM provisioning_sample_default WHERE at >= $1 AND at < $2 RETURNING *)
             INSERT INTO %I SELECT * FROM moved', name) USING lower, upper;
        ALTER TABLE provisioning_sample_default ENABLE TRIGGER USER;
    END IF;
    EXECUTE format(
        'ALTER TABLE provisioning_sample ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, lower, upper);
    EXECUTE format(
        'CREATE TRIGGER provisioning_sample_no_truncate BEFORE TRUNCATE ON %I
         FOR EACH STATEMENT EXECUTE FUNCTION portal_refuse_change()', name);
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION provisioning_make_sample_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION provisioning_make_sample_month(date) TO portal_app;
"""

DROP = """
CREATE FUNCTION provisioning_drop_sample_months(before date) RETURNS text[] LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    name text;
    gone text[] := '{}';
BEGIN
    -- Whatever a caller says: the months that a late bill or a question may still need stay.
    IF before > (now() - interval '90 days')::date THEN
        RAISE EXCEPTION 'samples of the last 90 days are kept: % is too late', before
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR name IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'provisioning_sample'::regclass AND relname ~ '^provisioning_sample_[0-9]{4}_[0-9]{2}$'
        ORDER BY relname
    LOOP
        IF to_date(right(name, 7), 'YYYY_MM') + interval '1 month' <= before THEN
            EXECUTE format('DROP TABLE %I', name);
            gone := gone || replace(right(name, 7), '_', '-');
        END IF;
    END LOOP;
    RETURN gone;
END $$;
REVOKE ALL ON FUNCTION provisioning_drop_sample_months(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION provisioning_drop_sample_months(date) TO portal_app;
"""

MOVE = """
SELECT provisioning_make_sample_month(make_date(
    extract(year FROM utc)::int, extract(month FROM utc)::int, 1))
FROM (SELECT DISTINCT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-01')::date AS utc FROM provisioning_sample_old) AS months;
INSERT INTO provisioning_sample SELECT * FROM provisioning_sample_old;
DROP TABLE provisioning_sample_old;
"""


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0044_gpus_and_storage")]

    operations = [
        migrations.RunSQL([PARTITION], [migrations.RunSQL.noop]),
        TenantPolicy("provisioning_sample"),
        AppendOnly("provisioning_sample"),
        migrations.RunSQL([MAKE], ["DROP FUNCTION provisioning_make_sample_month(date);"]),
        migrations.RunSQL([DROP], ["DROP FUNCTION provisioning_drop_sample_months(date);"]),
        migrations.RunSQL([MOVE], [migrations.RunSQL.noop]),
    ]
