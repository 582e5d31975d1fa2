"""Tenancy of holds."""

from django.db import migrations

from consortium.kernel.sql import TenantPolicy


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0032_hub_life")]

    operations = [TenantPolicy("provisioning_hubhold")]
