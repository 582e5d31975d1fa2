"""Tenancy, states, frozen and append-only rows of the app."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("members", "0001_initial"), ("consortium", "0002_guards")]

    operations = [
        TenantPolicy("members_membership"),
        TenantPolicy("members_seat"),
        TenantPolicy("members_memberkey"),
        TenantPolicy("members_application"),
        TenantPolicy("members_applicationnote"),
        TenantPolicy("members_agreement"),
        TenantPolicy("members_signature"),
        TenantPolicy("members_apitoken"),
        AppendOnly("members_agreementtemplate"),
        AppendOnly("members_applicationnote"),
        AppendOnly("members_signature"),
        StateTrigger(
            "members.Agreement.status",
            "members_agreement",
            "status",
            {
                "draft": ["offered", "withdrawn"],
                "offered": ["draft", "signed", "withdrawn"],
                "signed": ["in_force", "withdrawn"],
                "in_force": ["ended", "superseded"],
                "superseded": [],
                "ended": [],
                "withdrawn": [],
            },
        ),
        StateTrigger(
            "members.Application.status",
            "members_application",
            "status",
            {
                "draft": ["submitted", "withdrawn"],
                "submitted": ["approved", "declined", "questioned", "withdrawn"],
                "questioned": ["submitted", "withdrawn"],
                "approved": [],
                "declined": [],
                "withdrawn": [],
            },
        ),
        StateTrigger(
            "members.Membership.status",
            "members_membership",
            "status",
            {
                "joining": ["active", "ended"],
                "active": ["leaving", "suspended"],
                "suspended": ["active", "leaving"],
                "leaving": ["active", "ended"],
                "ended": [],
            },
        ),
        FrozenAfter("members_agreement", "status", ["draft", "offered"], ["status"]),
    ]
