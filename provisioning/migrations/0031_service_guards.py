"""Tenancy, states and append-only rows of the service level."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0030_service_level")]

    operations = [
        TenantPolicy("provisioning_workcheck"),
        TenantPolicy("provisioning_serviceday"),
        TenantPolicy("provisioning_servicestatement"),
        TenantPolicy("provisioning_statementquestion"),
        AppendOnly("provisioning_workcheck"),
        AppendOnly("provisioning_incidentupdate"),
        AppendOnly("provisioning_servicestatement"),
        StateTrigger(
            "provisioning.Incident.status",
            "provisioning_incident",
            "status",
            {
                "investigating": ["identified", "monitoring", "resolved"],
                "identified": ["monitoring", "resolved"],
                "monitoring": ["investigating", "resolved"],
                "resolved": [],
            },
        ),
        StateTrigger(
            "provisioning.StatementQuestion.status",
            "provisioning_statementquestion",
            "status",
            {"open": ["accepted", "declined"], "accepted": [], "declined": []},
        ),
        FrozenAfter("provisioning_statementquestion", "status", ["open"], []),
    ]
