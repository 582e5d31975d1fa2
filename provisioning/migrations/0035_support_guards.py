"""Tenancy, states and frozen rows of support (0035_support_guards)."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0034_support")]

    operations = [
        TenantPolicy("provisioning_supportrequest"),
        TenantPolicy("provisioning_supportmessage"),
        TenantPolicy("provisioning_supportclock"),
        AppendOnly("provisioning_supportmessage"),
        StateTrigger(
            "provisioning.SupportRequest.status",
            "provisioning_supportrequest",
            "status",
            {
                "open": ["answered", "closed", "resolved", "waiting"],
                "answered": ["closed", "open", "resolved", "waiting"],
                "waiting": ["answered", "closed", "open", "resolved"],
                "resolved": ["closed", "open"],
                "closed": [],
            },
        ),
        FrozenAfter("provisioning_supportrequest", "status", ["open", "answered", "waiting", "resolved"], []),
        FrozenAfter("provisioning_supportclock", "stopped_by", [""], []),
    ]
