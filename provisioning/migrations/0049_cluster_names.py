"""A cluster's name in French; the one that the catalogue made is named, unless staff named it otherwise."""

from django.db import migrations, models

NAME = "UPDATE provisioning_cluster SET name_fr = 'Cette machine' WHERE slug = 'local' AND name = 'This machine'"


class Migration(migrations.Migration):
    dependencies = [("provisioning", "0048_pair_guards")]

    operations = [
        migrations.AddField(
            "cluster",
            "name_fr",
            models.CharField(
                "name in French", blank=True, default="", help_text="Empty: the same.", max_length=100
            ),
        ),
        migrations.RunSQL([NAME], migrations.RunSQL.noop),
    ]
