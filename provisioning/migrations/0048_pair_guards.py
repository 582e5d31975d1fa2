"""Tenancy of rollouts, and what a staging twin may be (0048_pair_guards)."""

from django.db import migrations

from consortium.kernel.sql import TenantPolicy

PAIR = """
CREATE FUNCTION provisioning_hub_pair() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    production provisioning_hub;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.staging_of_id IS NOT NULL AND NEW.staging_of_id IS DISTINCT FROM OLD.staging_of_id THEN
        RAISE EXCEPTION 'hub %: a staging hub stays the twin that it is', NEW.slug USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.staging_of_id IS NULL THEN
        RETURN NEW;
    END IF;
    SELECT * INTO production FROM provisioning_hub WHERE id = NEW.staging_of_id FOR SHARE;
    IF production.institution_id <> NEW.institution_id THEN
        RAISE EXCEPTION 'hub %: its production hub is another university''s', NEW.slug
            USING ERRCODE = 'check_violation';
    END IF;
    IF production.id = NEW.id OR production.staging_of_id IS NOT NULL
            OR EXISTS (SELECT 1 FROM provisioning_hub WHERE staging_of_id = NEW.id) THEN
        RAISE EXCEPTION 'hub %: a pair has one staging and one production hub', NEW.slug
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER provisioning_hub_pair BEFORE INSERT OR UPDATE OF staging_of_id, institution_id ON provisioning_hub
    FOR EACH ROW EXECUTE FUNCTION provisioning_hub_pair();
"""


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0047_pairs")]

    operations = [
        TenantPolicy("provisioning_rollout"),
        migrations.RunSQL(
            [PAIR], ["DROP TRIGGER provisioning_hub_pair ON provisioning_hub; DROP FUNCTION provisioning_hub_pair();"]
        ),
    ]
