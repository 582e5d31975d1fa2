"""What every row made by a command carries: the key it was asked for with, and what was asked."""

from django.db import models


class Commanded(models.Model):
    """A row made once per key; the digest tells whether the same key asks for the same thing again."""

    command_key = models.CharField(max_length=120, unique=True, editable=False)
    command_digest = models.CharField(max_length=64, editable=False)

    class Meta:
        abstract = True
