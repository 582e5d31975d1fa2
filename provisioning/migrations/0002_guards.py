"""Tenancy, states and append-only rows of the app."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, StateTrigger, TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0001_initial"), ("consortium", "0002_guards")]

    operations = [
        TenantPolicy("provisioning_hub"),
        TenantPolicy("provisioning_hubrevision"),
        TenantPolicy("provisioning_samplingrun"),
        TenantPolicy("provisioning_sample"),
        TenantPolicy("provisioning_hubday"),
        TenantPolicy("provisioning_hubdayuser"),
        AppendOnly("provisioning_hubrevision"),
        AppendOnly("provisioning_samplingrun"),
        AppendOnly("provisioning_sample"),
        StateTrigger(
            "provisioning.Hub.status",
            "provisioning_hub",
            "status",
            {
                "requested": ["approved", "declined"],
                "approved": ["declined", "provisioning"],
                "provisioning": ["failed", "running"],
                "running": ["degraded", "retiring", "suspended", "updating"],
                "updating": ["failed", "running"],
                "degraded": ["failed", "retiring", "running", "suspended", "updating"],
                "failed": ["provisioning", "retiring", "updating"],
                "suspended": ["retiring", "running"],
                "retiring": ["failed", "retired"],
                "retired": [],
                "declined": [],
            },
        ),
    ]
