"""A hub may be moving; moves follow their table, belong to their university, and stay as they ended."""

from django.db import migrations

from consortium.kernel.sql import FrozenAfter, StateTrigger, TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0042_moves")]

    operations = [
        TenantPolicy("provisioning_hubmove"),
        StateTrigger(
            "provisioning.Hub.status",
            "provisioning_hub",
            "status",
            {
                "requested": ["approved", "declined"],
                "approved": ["declined", "provisioning"],
                "provisioning": ["failed", "running"],
                "running": ["degraded", "moving", "retiring", "suspended", "updating"],
                "updating": ["failed", "running"],
                "degraded": ["failed", "moving", "retiring", "running", "suspended", "updating"],
                "failed": ["provisioning", "retiring", "updating"],
                "moving": ["running"],
                "suspended": ["retiring", "running"],
                "retiring": ["failed", "retired"],
                "retired": [],
                "declined": [],
            },
        ),
        StateTrigger(
            "provisioning.HubMove.status",
            "provisioning_hubmove",
            "status",
            {
                "carrying": ["cancelling", "switched"],
                "cancelling": ["cancelled"],
                "switched": ["moved"],
                "moved": [],
                "cancelled": [],
            },
        ),
        FrozenAfter("provisioning_hubmove", "status", ["carrying", "cancelling", "switched"], []),
    ]
