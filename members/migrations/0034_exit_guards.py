"""What PostgreSQL refuses of exits."""

from django.db import migrations

from consortium.kernel.sql import FrozenAfter, StateTrigger, TenantPolicy


# This is 0034_exit_guards.
class Migration(migrations.Migration):
    dependencies = [("members", "0033_exits")]

    operations = [
        TenantPolicy("members_memberexit"),
        StateTrigger(
            "members.MemberExit.status",
            "members_memberexit",
            "status",
            {
                "open": ["closing", "withdrawn"],
                "closing": ["settling"],
                "settling": ["keeping"],
                "keeping": ["certified"],
                "certified": [],
                "withdrawn": [],
            },
        ),
        FrozenAfter("members_memberexit", "status", ["open", "closing", "settling", "keeping"], []),
    ]
