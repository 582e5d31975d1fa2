"""A pause is written once; only its end comes later (0039_pause_guards)."""

from django.db import migrations

from consortium.kernel.sql import TenantPolicy

ENDS_ONCE = """
CREATE FUNCTION provisioning_hubpause_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.ended_at IS NOT NULL
        OR (to_jsonb(NEW) - 'ended_at') <> (to_jsonb(OLD) - 'ended_at') THEN
        RAISE EXCEPTION 'a pause of a hub is history: % is refused', TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER provisioning_hubpause_ends_once BEFORE UPDATE OR DELETE ON provisioning_hubpause
    FOR EACH ROW EXECUTE FUNCTION provisioning_hubpause_ends_once();
"""

# Hubs that sleep or are gone already: since what the audit trail says of them, else since now.
SLEEPING = """
INSERT INTO provisioning_hubpause (institution_id, hub_id, reason, started_at)
SELECT hub.institution_id, hub.id, hub.status, coalesce(
    (SELECT max(event.at) FROM consortium_auditevent AS event WHERE event.object_id = hub.id::text
        AND event.action IN ('provisioning.hub_suspended', 'provisioning.hub_retired')), now())
FROM provisioning_hub AS hub WHERE hub.status IN ('suspended', 'retired');
"""


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0038_pauses"), ("consortium", "0002_guards")]

    operations = [
        migrations.RunSQL([SLEEPING], [""]),
        TenantPolicy("provisioning_hubpause"),
        migrations.RunSQL(
            [ENDS_ONCE],
            [
                "DROP TRIGGER provisioning_hubpause_ends_once ON provisioning_hubpause;"
                "DROP FUNCTION provisioning_hubpause_ends_once();"
            ],
        ),
    ]
