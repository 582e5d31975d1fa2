"""Tenancy, states and frozen rows of events (0041_event_guards)."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0040_events")]

    operations = [
        TenantPolicy("provisioning_eventwindow"),
        TenantPolicy("provisioning_eventoverride"),
        AppendOnly("provisioning_eventoverride"),
        StateTrigger(
            "provisioning.EventWindow.status",
            "provisioning_eventwindow",
            "status",
            {"booked": ["cancelled", "over"], "cancelled": [], "over": []},
        ),
        FrozenAfter("provisioning_eventwindow", "status", ["booked"], ["restored_at"]),
    ]
