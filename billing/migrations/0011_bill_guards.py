"""Tenancy and frozen rows of what 0010 made; a policy or budget may only end."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, TenantPolicy

ENDS = """
CREATE FUNCTION billing_only_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (to_jsonb(NEW) - 'valid') <> (to_jsonb(OLD) - 'valid')
        OR NOT (isempty(NEW.valid) OR lower(NEW.valid) IS NOT DISTINCT FROM lower(OLD.valid))
        OR NOT (NEW.valid <@ OLD.valid) THEN
        RAISE EXCEPTION '% % is in force as it was adopted: it may only end, or be withdrawn', TG_TABLE_NAME, OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_allocationpolicy_only_ends BEFORE UPDATE OR DELETE ON billing_allocationpolicy
    FOR EACH ROW EXECUTE FUNCTION billing_only_ends();
CREATE TRIGGER billing_budget_only_ends BEFORE UPDATE OR DELETE ON billing_budget
    FOR EACH ROW EXECUTE FUNCTION billing_only_ends();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_bills_and_budgets")]

    operations = [
        TenantPolicy("billing_budget"),
        TenantPolicy("billing_budgetalert"),
        AppendOnly("billing_providertotal"),
        AppendOnly("billing_commitment"),
        AppendOnly("billing_costacceptance"),
        AppendOnly("billing_budgetalert"),
        migrations.RunSQL(
            [ENDS],
            "DROP TRIGGER billing_budget_only_ends ON billing_budget;"
            "DROP TRIGGER billing_allocationpolicy_only_ends ON billing_allocationpolicy;"
            "DROP FUNCTION billing_only_ends();",
        ),
    ]
