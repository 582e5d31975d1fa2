"""A question about the budget: whose it is, how it is answered, no hub before that (0037_spending_guards)."""

from django.db import migrations

from consortium.kernel.sql import FrozenAfter, StateTrigger, TenantPolicy

WAITS = """
CREATE FUNCTION provisioning_hub_waits_for_spending() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public AS $$
BEGIN
    IF NEW.status = 'approved' AND OLD.status = 'requested' AND EXISTS (
        SELECT FROM provisioning_spendingapproval WHERE hub_id = NEW.id AND status <> 'approved'
    ) THEN
        RAISE EXCEPTION 'hub % goes beyond the budget and nobody has agreed to that', NEW.slug
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER provisioning_hub_waits_for_spending BEFORE UPDATE ON provisioning_hub
    FOR EACH ROW EXECUTE FUNCTION provisioning_hub_waits_for_spending();
"""


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0036_spending")]

    operations = [
        TenantPolicy("provisioning_spendingapproval"),
        StateTrigger(
            "provisioning.SpendingApproval.status",
            "provisioning_spendingapproval",
            "status",
            {"asked": ["approved", "declined"], "approved": [], "declined": []},
        ),
        FrozenAfter("provisioning_spendingapproval", "status", ["asked"], []),
        migrations.RunSQL(
            [WAITS],
            [
                "DROP TRIGGER provisioning_hub_waits_for_spending ON provisioning_hub;"
                "DROP FUNCTION provisioning_hub_waits_for_spending();"
            ],
        ),
    ]
