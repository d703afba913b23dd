"""What operators are told: incidents, the notices about them, and the last check of all books."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Incident(models.Model):
    """Something an operator must know of, from the first time it was seen to its end.

    At most one is open per rule and subject, whichever process saw it first. ``subject`` is what it is
    about: a model, a provider, a bucket, "site". ``seen_at`` is when it was last true.
    """

    rule = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    title = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["rule", "subject"], condition=Q(closed_at__isnull=True), name="one_open_incident"
            ),
        )
        indexes = (models.Index(fields=["-opened_at"], name="incident_newest"),)

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


class NoticeKind(models.TextChoices):
    OPENED = "opened", "opened"
    RECOVERED = "recovered", "recovered"


class Channel(models.TextChoices):
    LOG = "log", "log"
    EMAIL = "email", "e-mail"
    WEBHOOK = "webhook", "webhook"


class Notice(models.Model):
    """One message about an incident through one channel; delivered at least once.

    ``claimed_until`` keeps others from sending it at the same time and is when it is tried again;
    ``notified_at`` is set once the channel has taken it.
    """

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=12, choices=NoticeKind.choices)
    channel = models.CharField(max_length=12, choices=Channel.choices)
    created_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    notified_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["incident", "kind", "channel"], name="notice_once_per_channel"),
        )
        indexes = (
            models.Index(
                fields=["claimed_until"], condition=Q(notified_at__isnull=True), name="notice_pending"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}"


class BooksCheck(models.Model):
    """The result of a check of the whole ledger: which invariants failed, and with which rows."""

    checked_at = models.DateTimeField()
    seconds = models.FloatField()
    failed = models.JSONField(default=dict)

    class Meta:
        get_latest_by = "checked_at"

    def __str__(self) -> str:
        return f"books at {self.checked_at:%Y-%m-%d %H:%M}: {', '.join(self.failed) or 'right'}"


class ProviderBill(models.Model):
    """A provider's billing file that was imported; the same file is imported once."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    file_name = models.CharField(max_length=200)
    format = models.CharField(max_length=40)
    provider = models.CharField(max_length=32)
    zone = models.CharField(max_length=64)
    first_day = models.DateField()
    last_day = models.DateField()
    imported_at = models.DateTimeField()
    imported_by = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.format}, {self.first_day} to {self.last_day}"


class ProviderBillLine(models.Model):
    """What a bill says of one model on one of the provider's days, or over several: ``day`` to ``last_day``,
    both inclusive. Null: it does not say.
    """

    bill = models.ForeignKey(ProviderBill, on_delete=models.CASCADE, related_name="lines")
    day = models.DateField()
    last_day = models.DateField()
    provider_model = models.CharField(max_length=200)
    requests = models.BigIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cost_nanousd = models.BigIntegerField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["bill", "day", "provider_model"], name="billline_once"),
        )

    def __str__(self) -> str:
        return f"{self.provider_model} on {self.day}"
