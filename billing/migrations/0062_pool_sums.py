"""A pool is what its members bear and what the consortium bears: PostgreSQL refuses one that loses or makes a cent (0062_pool_sums)."""

from django.db import migrations

SUMS = """
CREATE FUNCTION billing_pool_sums() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    pool billing_pool%ROWTYPE;
    borne numeric;
BEGIN
    SELECT * INTO pool FROM billing_pool WHERE id = CASE TG_TABLE_NAME WHEN 'billing_pool' THEN NEW.id
        ELSE (to_jsonb(NEW) ->> 'pool_id')::uuid END;
    SELECT coalesce(sum(amount), 0) INTO borne FROM billing_share WHERE pool_id = pool.id;
    IF pool.parked_reason <> '' THEN
        IF borne <> 0 OR pool.own_amount <> 0 THEN
            RAISE EXCEPTION 'Pool % is parked: nobody bears any of it', pool.key USING ERRCODE = 'check_violation';
        END IF;
    ELSIF borne + pool.own_amount <> pool.rounded_total THEN
        RAISE EXCEPTION 'Pool %: shares of % and % of the consortium do not sum to %',
            pool.key, borne, pool.own_amount, pool.rounded_total USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_pool_sums AFTER INSERT ON billing_pool
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_pool_sums();
CREATE CONSTRAINT TRIGGER billing_share_sums AFTER INSERT ON billing_share
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_pool_sums();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0061_pool_splits")]

    operations = [
        migrations.RunSQL(
            [SUMS],
            "DROP TRIGGER billing_share_sums ON billing_share; DROP TRIGGER billing_pool_sums ON billing_pool;"
            "DROP FUNCTION billing_pool_sums();",
        ),
    ]
