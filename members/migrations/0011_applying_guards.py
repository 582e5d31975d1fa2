"""Tenancy, states, frozen and append-only rows of applying and of the due-diligence pack."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("members", "0010_applying")]

    operations = [
        TenantPolicy("members_accessrequest"),
        AppendOnly("members_accessrequest"),
        AppendOnly("members_diligenceversion"),
        StateTrigger(
            "members.DiligenceDocument.status",
            "members_diligencedocument",
            "status",
            {"current": ["retired"], "retired": ["current"]},
        ),
        # What was submitted is what was reviewed: only a question opens the answers again.
        FrozenAfter(
            "members_application",
            "status",
            ["draft", "questioned"],
            ["status", "submitted_at", "decided_at", "decision_reason"],
        ),
        migrations.RunSQL(
            [
                """
                ALTER TABLE members_application ADD CONSTRAINT application_administrators_few
                    CHECK (jsonb_typeof(administrators) = 'array' AND jsonb_array_length(administrators) <= 5);
                """
            ],
            ["ALTER TABLE members_application DROP CONSTRAINT application_administrators_few;"],
        ),
        migrations.RunSQL(
            [
                """
                CREATE FUNCTION members_membership_confirmed() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF NOT (SELECT confirmed FROM members_institution WHERE id = NEW.institution_id) THEN
                        RAISE EXCEPTION 'institution % is not confirmed: it cannot be a member', NEW.institution_id
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER members_membership_confirmed BEFORE INSERT ON members_membership
                    FOR EACH ROW EXECUTE FUNCTION members_membership_confirmed();
                CREATE FUNCTION members_institution_stays_confirmed() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF OLD.confirmed AND NOT NEW.confirmed THEN
                        RAISE EXCEPTION 'institution % is confirmed and stays so', NEW.id
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER members_institution_stays_confirmed BEFORE UPDATE OF confirmed ON members_institution
                    FOR EACH ROW EXECUTE FUNCTION members_institution_stays_confirmed();
                """
            ],
            [
                """
                DROP TRIGGER members_membership_confirmed ON members_membership;
                DROP FUNCTION members_membership_confirmed();
                DROP TRIGGER members_institution_stays_confirmed ON members_institution;
                DROP FUNCTION members_institution_stays_confirmed();
                """
            ],
        ),
    ]
