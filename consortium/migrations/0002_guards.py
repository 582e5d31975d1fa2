"""What the ORM cannot say: rights of the application's role, the audit chain, tenancy, states, append-only rows."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, StateTrigger, TenantPolicy

RIGHTS = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'portal_app' AND NOT rolsuper AND NOT rolbypassrls) THEN
        RAISE EXCEPTION 'The role portal_app is missing, or is a superuser, or bypasses row-level security. '
            'Create it with: CREATE ROLE portal_app LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD ...';
    END IF;
END $$;
GRANT USAGE ON SCHEMA public TO portal_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO portal_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO portal_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO portal_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO portal_app;
"""

CHAIN = """
CREATE FUNCTION portal_audit_hash(e consortium_auditevent) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        e.prev_hash, e.chain, e.seq, e.id, e.institution_id, extract(epoch FROM e.at)::text, e.actor_id, e.actor_kind,
        e.action, e.object_type, e.object_id, e.before, e.after, e.reason_digest, e.request_id, e.scope
    )::text, 'UTF8')), 'hex')
$$;
CREATE FUNCTION portal_audit_link() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    head consortium_audithead;
BEGIN
    NEW.chain := coalesce(NEW.institution_id::text, 'consortium');
    INSERT INTO consortium_audithead (chain, seq, hash) VALUES (NEW.chain, 0, '') ON CONFLICT (chain) DO NOTHING;
    SELECT * INTO head FROM consortium_audithead WHERE chain = NEW.chain FOR UPDATE;
    NEW.seq := head.seq + 1;
    NEW.prev_hash := head.hash;
    NEW.hash := portal_audit_hash(NEW);
    UPDATE consortium_audithead SET seq = NEW.seq, hash = NEW.hash WHERE chain = NEW.chain;
    RETURN NEW;
END $$;
CREATE TRIGGER consortium_auditevent_link BEFORE INSERT ON consortium_auditevent
    FOR EACH ROW EXECUTE FUNCTION portal_audit_link();
REVOKE INSERT, UPDATE, DELETE ON consortium_audithead FROM portal_app;
"""


class Migration(migrations.Migration):
    dependencies = [("consortium", "0001_initial")]

    operations = [
        migrations.RunSQL([RIGHTS], migrations.RunSQL.noop),
        AppendOnly("consortium_auditevent"),
        AppendOnly("consortium_document"),
        migrations.RunSQL(
            [CHAIN],
            "DROP TRIGGER consortium_auditevent_link ON consortium_auditevent;"
            "DROP FUNCTION portal_audit_link(); DROP FUNCTION portal_audit_hash(consortium_auditevent);",
        ),
        TenantPolicy("consortium_auditevent"),
        TenantPolicy("consortium_delivery"),
        TenantPolicy("consortium_job"),
        TenantPolicy("consortium_document"),
        TenantPolicy("consortium_outgoingmail"),
        StateTrigger(
            "consortium.Job.state",
            "consortium_job",
            "state",
            {
                "queued": ["cancelled", "running"],
                "running": ["failed", "needs_operator", "queued", "succeeded"],
                "failed": ["cancelled", "queued"],
                "needs_operator": ["cancelled", "queued"],
                "succeeded": [],
                "cancelled": [],
            },
        ),
        StateTrigger(
            "consortium.OutgoingMail.state",
            "consortium_outgoingmail",
            "state",
            {
                "queued": ["failed", "sent"],
                "failed": ["queued"],
                "sent": [],
            },
        ),
    ]
