"""Tables of the kernel: the audit trail, the outbox, jobs, documents and outgoing mail.

They name an institution by its key alone: the kernel knows no app.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from consortium.kernel.fields import Row
from consortium.kernel.states import choices
from consortium.states import JOB, MAIL


class AuditEvent(Row):
    """One change, in the hash chain of its institution (or of the consortium). Append-only."""

    institution_id = models.UUIDField(null=True, db_index=True)
    chain = models.CharField(max_length=36, editable=False, default="")
    seq = models.BigIntegerField(editable=False, default=0)
    at = models.DateTimeField()
    actor_id = models.UUIDField(null=True)
    actor_kind = models.CharField(max_length=40)
    action = models.CharField(max_length=80)
    object_type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=64)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    reason_digest = models.CharField(max_length=32, blank=True, default="")
    request_id = models.CharField(max_length=64, blank=True, default="")
    scope = models.CharField(max_length=40, blank=True, default="")
    prev_hash = models.CharField(max_length=64, editable=False, default="")
    hash = models.CharField(max_length=64, editable=False, default="")

    class Meta:
        ordering = ["-at", "-seq"]
        indexes = [models.Index(fields=["object_type", "object_id"])]
        constraints = [models.UniqueConstraint(fields=["chain", "seq"], name="auditevent_chain_seq")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.action}"


class AuditHead(models.Model):
    """The newest link of each chain; its row lock puts the events of a chain in one order."""

    chain = models.CharField(max_length=36, primary_key=True)
    seq = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.chain} #{self.seq}"


class Delivery(Row):
    """The outbox: one event for one receiver, done once."""

    event = models.ForeignKey(AuditEvent, models.PROTECT, related_name="deliveries")
    institution_id = models.UUIDField(null=True)
    receiver = models.CharField(max_length=80)
    next_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="")

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["event", "receiver"], name="delivery_once")]
        indexes = [models.Index(fields=["next_at"], condition=models.Q(done_at=None), name="delivery_open")]

    def __str__(self) -> str:
        return f"{self.receiver} ← {self.event_id}"


class Job(Row):
    """The intent row of long or external work: what is wanted, how far it is, who holds it now.

    "Stalled" is not a state: it is 60 s without a heartbeat.
    """

    institution_id = models.UUIDField(null=True, db_index=True)
    kind = models.CharField(max_length=60)
    unique_key = models.CharField(max_length=200)
    arguments = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=choices(JOB.states), default=JOB.initial)
    step = models.CharField(max_length=200, blank=True, default="")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    log = models.JSONField(default=list)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()
    run_after = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["kind", "unique_key"], name="job_once")]
        indexes = [
            models.Index(fields=["run_after"], condition=models.Q(state__in=["queued", "running"]), name="job_open")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.unique_key} ({self.state})"


class Document(Row):
    """A file that was written once: its hash, size and place. Insert-only."""

    institution_id = models.UUIDField(null=True, db_index=True)
    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    language = models.CharField(max_length=5, blank=True, default="")
    subject_type = models.CharField(max_length=80)
    subject_id = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)
    media_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    storage_key = models.CharField(max_length=255, unique=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["subject_type", "subject_id"]),
            models.Index(fields=["sha256"], name="document_sha256"),  # the verification page asks by it
        ]
        constraints = [
            models.UniqueConstraint(fields=["subject_type", "subject_id", "kind", "language"], name="document_once")
        ]

    def __str__(self) -> str:
        return self.name


class OutgoingMail(Row):
    """One mail to one person because of one event, sent by the sweeper."""

    event = models.ForeignKey(AuditEvent, models.PROTECT, related_name="mails")
    institution_id = models.UUIDField(null=True)
    recipient = models.EmailField()
    template = models.CharField(max_length=80)
    language = models.CharField(max_length=5)
    subject = models.CharField(max_length=300)
    body = models.TextField()
    attachment_ids = ArrayField(models.UUIDField(), default=list, blank=True)
    headers = models.JSONField("further headers, until it is sent", default=dict, blank=True)
    state = models.CharField(max_length=20, choices=choices(MAIL.states), default=MAIL.initial)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event", "recipient", "template"], name="outgoingmail_once"),
        ]
        indexes = [models.Index(fields=["next_at"], condition=models.Q(state="queued"), name="outgoingmail_open")]

    def __str__(self) -> str:
        return f"{self.template} → {self.recipient}"
