"""Tenancy, states and frozen rows of domains and sign-on."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("members", "0020_domains_and_sign_on")]

    operations = [
        TenantPolicy("members_domain"),
        TenantPolicy("members_signon"),
        TenantPolicy("members_signontest"),
        TenantPolicy("members_usedassertion"),
        AppendOnly("members_signontest"),
        StateTrigger(
            "members.Domain.status",
            "members_domain",
            "status",
            {
                "pending": ["removed", "verified"],
                "verified": ["lost", "removed"],
                "lost": ["removed", "verified"],
                "removed": [],
            },
        ),
        StateTrigger(
            "members.SignOn.status",
            "members_signon",
            "status",
            {
                "draft": ["off", "tested"],
                "tested": ["draft", "enabled", "off"],
                "enabled": ["enforced", "off"],
                "enforced": ["enabled", "off"],
                "off": [],
            },
        ),
        FrozenAfter("members_signon", "status", ["draft", "tested"], ["status", "join_affiliations"]),
    ]
