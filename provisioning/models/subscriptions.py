"""Who gets the status page by mail: an address and a language, nothing else, and gone with the unsubscribing."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from consortium.kernel.fields import Row
from members.models.people import LANGUAGE_CHOICES


class StatusSubscription(Row):
    """An address that asked for incidents and maintenance of some hubs (none named: of all), in a language.

    What is wanted holds once the link in the mail was followed. The link is made when that mail is written, and kept
    as a hash. Whoever does not follow it, or unsubscribes, is deleted.
    """

    email = models.EmailField()
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES, blank=True)
    hub_slugs = ArrayField(models.CharField(max_length=40), default=list, blank=True, verbose_name="hubs")
    wanted_language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES, default="en")
    wanted_slugs = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    token_hash = models.CharField(max_length=64, blank=True)
    asked_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["asked_at"]
        constraints = [
            models.UniqueConstraint(Lower("email"), name="statussubscription_email_once"),
            models.UniqueConstraint(
                fields=["token_hash"], condition=~Q(token_hash=""), name="statussubscription_token_once"
            ),
            models.CheckConstraint(
                condition=Q(confirmed_at=None, language="") | (Q(confirmed_at__isnull=False) & ~Q(language="")),
                name="statussubscription_confirmed",
            ),
        ]

    def __str__(self) -> str:
        return self.email
