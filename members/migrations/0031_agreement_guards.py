"""What an agreement's later life may do, and what PostgreSQL asks of a signature."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.functions.comparison
from django.db import migrations, models

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy

# Versions that were superseded before this migration ended when the next one began.
BACKFILL = """
UPDATE members_agreement a SET covered_until = greatest(a.starts_on, next.starts_on)
FROM (
    SELECT DISTINCT ON (b.id) b.id, c.starts_on FROM members_agreement b
    JOIN members_agreement c ON c.institution_id = b.institution_id AND c.issuer_id = b.issuer_id
        AND c.version > b.version AND c.status IN ('in_force', 'superseded', 'ended')
    WHERE b.status = 'superseded' ORDER BY b.id, c.version
) next
WHERE next.id = a.id;
"""

COVERED = """
CREATE FUNCTION members_agreement_covered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.covered_until IS NOT NULL THEN
            RAISE EXCEPTION 'members_agreement: a new row covers what its text says' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.covered_until IS DISTINCT FROM OLD.covered_until
            AND OLD.status NOT IN ('in_force', 'suspended', 'terminating') THEN
        RAISE EXCEPTION 'members_agreement % is %: its cover cannot change', OLD.id, OLD.status
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER members_agreement_covered BEFORE INSERT OR UPDATE ON members_agreement
    FOR EACH ROW EXECUTE FUNCTION members_agreement_covered();
"""

# The names of the triggers of one table decide their order: this one runs after the table of moves.
SIGNED = """
CREATE FUNCTION members_agreement_witnessed() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public AS $$
DECLARE
    theirs members_signature;
    ours members_signature;
BEGIN
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    SELECT * INTO theirs FROM members_signature WHERE agreement_id = NEW.id AND side = 'member';
    SELECT * INTO ours FROM members_signature WHERE agreement_id = NEW.id AND side = 'consortium';
    IF NEW.status = 'signed' AND theirs.id IS NULL THEN
        RAISE EXCEPTION 'members_agreement %: nobody signed for the member', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = 'announced' AND (NEW.kind <> 'prices' OR ours.id IS NULL) THEN
        RAISE EXCEPTION 'members_agreement %: only new prices that the consortium signed are announced', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = 'in_force' AND OLD.status = 'signed' THEN
        IF theirs.id IS NULL OR ours.id IS NULL OR theirs.content_sha256 <> ours.content_sha256 THEN
            RAISE EXCEPTION 'members_agreement %: both sides must have signed the same content', NEW.id
                USING ERRCODE = 'check_violation';
        END IF;
        IF theirs.signer_id = ours.signer_id THEN
            RAISE EXCEPTION 'members_agreement %: one person cannot sign for both sides', NEW.id
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER members_agreement_witnessed BEFORE UPDATE ON members_agreement
    FOR EACH ROW EXECUTE FUNCTION members_agreement_witnessed();
"""

FRENCH_FIRST = """
CREATE FUNCTION members_signature_proper() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public AS $$
DECLARE
    agreed members_agreement;
    place members_institution;
BEGIN
    SELECT * INTO agreed FROM members_agreement WHERE id = NEW.agreement_id FOR SHARE;
    SELECT * INTO place FROM members_institution WHERE id = agreed.institution_id;
    IF NEW.institution_id <> agreed.institution_id THEN
        RAISE EXCEPTION 'members_signature: it belongs to the institution of its agreement'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.invitation_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM members_signinginvitation i
        WHERE i.id = NEW.invitation_id AND i.agreement_id = NEW.agreement_id AND i.used_at = NEW.at
    ) THEN
        RAISE EXCEPTION 'members_signature: the invitation is for another agreement, or was not used now'
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.side = 'member' AND NEW.language <> 'fr' AND place.country = 'CA' AND place.province = 'QC'
        AND NOT EXISTS (
            SELECT 1 FROM members_textdelivery d
            WHERE d.agreement_id = NEW.agreement_id AND d.language = 'fr'
                AND d.content_sha256 = NEW.content_sha256 AND d.at <= NEW.at
                AND d.reader_id IS NOT DISTINCT FROM NEW.signer_id
                AND d.invitation_id IS NOT DISTINCT FROM NEW.invitation_id
        ) THEN
        RAISE EXCEPTION 'members_signature: in Quebec the French text comes before consent to another one'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER members_signature_proper BEFORE INSERT ON members_signature
    FOR EACH ROW EXECUTE FUNCTION members_signature_proper();
"""

INVITATION = """
CREATE FUNCTION members_signinginvitation_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE'
        OR OLD.used_at IS NOT NULL OR OLD.revoked_at IS NOT NULL
        OR (OLD.token_hash <> '' AND NEW.token_hash <> OLD.token_hash)
        OR (to_jsonb(NEW) - 'token_hash' - 'used_at' - 'revoked_at')
            <> (to_jsonb(OLD) - 'token_hash' - 'used_at' - 'revoked_at') THEN
        RAISE EXCEPTION 'members_signinginvitation %: it is used or revoked once, and nothing else changes', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER members_signinginvitation_once BEFORE UPDATE OR DELETE ON members_signinginvitation
    FOR EACH ROW EXECUTE FUNCTION members_signinginvitation_once();
"""


def _undo(table: str, name: str) -> str:
    return f"DROP TRIGGER {table}_{name} ON {table}; DROP FUNCTION {table}_{name}();"


class Migration(migrations.Migration):
    dependencies = [("members", "0030_agreement_life")]

    operations = [
        migrations.RunSQL(
            ["DROP TRIGGER members_agreement_frozen ON members_agreement; DROP FUNCTION members_agreement_frozen();"],
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL([BACKFILL], migrations.RunSQL.noop),
        FrozenAfter("members_agreement", "status", ["draft", "offered"], ["status", "covered_until"]),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                condition=models.Q(("status__in", ("in_force", "suspended", "terminating", "superseded", "ended"))),
                expressions=[
                    ("institution", "="),
                    ("issuer", "="),
                    (
                        models.Func(
                            "starts_on",
                            django.db.models.functions.comparison.Least("ends_on", "covered_until"),
                            function="daterange",
                            output_field=django.contrib.postgres.fields.ranges.DateRangeField(),
                        ),
                        "&&",
                    ),
                ],
                name="agreement_terms_apart",
            ),
        ),
        StateTrigger(
            "members.Agreement.status",
            "members_agreement",
            "status",
            {
                "draft": ["announced", "offered", "withdrawn"],
                "offered": ["draft", "signed", "withdrawn"],
                "signed": ["in_force", "withdrawn"],
                "announced": ["in_force", "withdrawn"],
                "in_force": ["ended", "superseded", "suspended", "terminating"],
                "suspended": ["ended", "in_force", "superseded", "terminating"],
                "terminating": ["ended", "in_force", "superseded", "suspended"],
                "superseded": [],
                "ended": [],
                "withdrawn": [],
            },
        ),
        migrations.RunSQL([COVERED], _undo("members_agreement", "covered")),
        migrations.RunSQL([SIGNED], _undo("members_agreement", "witnessed")),
        migrations.RunSQL([FRENCH_FIRST], _undo("members_signature", "proper")),
        migrations.RunSQL([INVITATION], _undo("members_signinginvitation", "once")),
        TenantPolicy("members_agreementrevision"),
        TenantPolicy("members_agreementevent"),
        TenantPolicy("members_signinginvitation"),
        TenantPolicy("members_textdelivery"),
        AppendOnly("members_agreementrevision"),
        AppendOnly("members_agreementevent"),
        AppendOnly("members_textdelivery"),
    ]
