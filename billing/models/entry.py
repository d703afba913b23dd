"""The ledger: entries and their postings, written once, refused to any change by the database."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from billing.models.bucket import Bucket
from billing.models.grant import Grant
from billing.models.hold import Hold
from billing.models.price import PriceVersion

TOKEN_COLUMNS = (
    "input_uncached_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "tool_prompt_tokens",
    "output_visible_tokens",
    "thinking_tokens",
)


class EntryKind(models.TextChoices):
    USAGE = "usage", "usage"
    TRUEUP = "trueup", "true-up"
    ADJUST = "adjust", "adjustment"
    REFUND = "refund", "refund"
    GRANT = "grant", "grant"
    GRANT_EXPIRY = "grant_expiry", "grant expired"


class Bearer(models.TextChoices):
    USER = "user", "user"
    HOUSE = "house", "house"


SIGNED_KINDS = (EntryKind.TRUEUP, EntryKind.ADJUST, EntryKind.REFUND)
GRANT_KINDS = (EntryKind.GRANT, EntryKind.GRANT_EXPIRY)


class LedgerEntry(models.Model):
    """One fact about use or money. Token columns are disjoint; ``cost_nanousd`` null = price unknown.

    References outward (user, group, conversation, generation) are opaque: deleting what they name
    changes nothing here. ``turn_kind`` is the caller's word for what the question was. ``reported_*`` are
    the provider's own inclusive totals. A correction is a new entry; ``reverses`` names what a refund undoes.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField()
    kind = models.CharField(max_length=12, choices=EntryKind.choices)
    idempotency_key = models.CharField(max_length=140, unique=True)
    bearer = models.CharField(max_length=8, choices=Bearer.choices)
    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, null=True, related_name="entries")
    reverses = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="reversed_by")
    user_id = models.BigIntegerField()
    group_id = models.BigIntegerField(null=True)
    conversation_id = models.UUIDField(null=True)
    generation_id = models.UUIDField(null=True, db_index=True)
    attempt = models.PositiveIntegerField(null=True)
    purpose = models.CharField(max_length=24, default="", blank=True)
    turn_kind = models.CharField(max_length=16, default="", blank=True)
    model = models.CharField(max_length=120, default="", blank=True)
    price_version = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, null=True, related_name="+")
    input_uncached_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    tool_prompt_tokens = models.BigIntegerField(default=0)
    output_visible_tokens = models.BigIntegerField(default=0)
    thinking_tokens = models.BigIntegerField(default=0)
    cost_nanousd = models.BigIntegerField(null=True)
    estimated = models.BooleanField(default=False)
    local_day = models.DateField()
    reported_input_tokens = models.BigIntegerField(null=True)
    reported_output_tokens = models.BigIntegerField(null=True)
    usage_raw = models.JSONField(null=True)
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, null=True, related_name="entries")
    granted_units = models.BigIntegerField(null=True)
    note = models.CharField(max_length=200, default="", blank=True)
    actor_id = models.BigIntegerField(null=True)

    class Meta:
        verbose_name_plural = "ledger entries"
        permissions = [("refund_ledgerentry", "Can refund ledger entries")]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=EntryKind.values), name="entry_kind"),
            models.CheckConstraint(
                condition=Q(kind__in=GRANT_KINDS, grant__isnull=False, granted_units__isnull=False)
                | (~Q(kind__in=GRANT_KINDS) & Q(grant__isnull=True, granted_units__isnull=True)),
                name="entry_grant_has_units",
            ),
            models.CheckConstraint(condition=Q(bearer__in=Bearer.values), name="entry_bearer"),
            models.CheckConstraint(
                condition=(Q(kind=EntryKind.REFUND) & Q(reverses__isnull=False))
                | (~Q(kind=EntryKind.REFUND) & Q(reverses__isnull=True)),
                name="entry_refund_reverses",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=(EntryKind.USAGE, EntryKind.TRUEUP)) | Q(hold__isnull=False),
                name="entry_usage_has_hold",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=SIGNED_KINDS)
                | (
                    Q(**{f"{column}__gte": 0 for column in TOKEN_COLUMNS})
                    & (Q(cost_nanousd__isnull=True) | Q(cost_nanousd__gte=0))
                ),
                name="entry_counts_not_negative",
            ),
            models.UniqueConstraint(
                fields=["hold"], condition=Q(kind=EntryKind.USAGE), name="entry_one_usage"
            ),
            models.UniqueConstraint(
                fields=["hold"], condition=Q(kind=EntryKind.TRUEUP), name="entry_one_trueup"
            ),
        ]
        indexes = [
            models.Index(fields=["user_id", "-local_day", "-id"], name="entry_by_user_day"),
            models.Index(fields=["-local_day", "-id"], name="entry_by_day"),
            models.Index(fields=["conversation_id", "created_at"], name="entry_by_conversation"),
            models.Index(
                fields=["group_id", "-created_at"], condition=Q(group_id__isnull=False), name="entry_by_group"
            ),
            models.Index(fields=["created_at"], name="entry_by_time"),
            models.Index(fields=["-id"], condition=~Q(kind=EntryKind.USAGE), name="entry_corrections"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def input_tokens(self) -> int:
        """All input, what was cached included."""
        return (
            self.input_uncached_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.tool_prompt_tokens
        )

    @property
    def output_tokens(self) -> int:
        """All output, thinking included."""
        return self.output_visible_tokens + self.thinking_tokens

    @property
    def total_tokens(self) -> int:
        """All tokens of the entry, input and output."""
        return sum(getattr(self, column) for column in TOKEN_COLUMNS)


class Posting(models.Model):
    """What an entry adds to one bucket, in the bucket's unit; ``over`` is the part that was not held."""

    pk = models.CompositePrimaryKey("entry_id", "bucket_id")
    entry = models.ForeignKey(LedgerEntry, on_delete=models.PROTECT, related_name="postings")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="postings")
    amount = models.BigIntegerField()
    over = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(over__gte=0), name="posting_over_not_negative")]

    def __str__(self) -> str:
        return f"{self.amount} to bucket {self.bucket_id}"
