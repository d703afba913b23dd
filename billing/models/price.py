"""Prices: pico-USD per token, one row per version and tier, never changed, only superseded."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

# $10,000 per million tokens. With at most 10**8 tokens a call every product stays inside 64 bits.
MAX_PRICE_PICOUSD = 10**10

_RATES = (
    "input_picousd",
    "cache_read_picousd",
    "cache_write_picousd",
    "tool_prompt_picousd",
    "output_picousd",
    "thinking_picousd",
)


class PriceVersion(models.Model):
    """What a model costs from ``valid_from`` on, in pico-USD per token ($1 per million = 1,000,000).

    A tiered price is several rows with the same model and ``valid_from``: the row with the highest
    ``above_input_tokens`` below the call's whole input applies; the plain price has 0 there.
    """

    model = models.CharField(max_length=120)
    above_input_tokens = models.BigIntegerField(default=0)
    input_picousd = models.BigIntegerField()
    cache_read_picousd = models.BigIntegerField()
    cache_write_picousd = models.BigIntegerField()
    tool_prompt_picousd = models.BigIntegerField()
    output_picousd = models.BigIntegerField()
    thinking_picousd = models.BigIntegerField()
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=80, default="hand")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["model", "-valid_from", "above_input_tokens"]
        constraints = [
            models.UniqueConstraint("model", "above_input_tokens", "valid_from", name="priceversion_start"),
            models.UniqueConstraint(
                fields=["model", "above_input_tokens"],
                condition=Q(valid_to__isnull=True),
                name="priceversion_one_open",
            ),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
                name="priceversion_valid_range",
            ),
            models.CheckConstraint(condition=Q(above_input_tokens__gte=0), name="priceversion_tier"),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{rate}__gte": 0, f"{rate}__lte": MAX_PRICE_PICOUSD}),
                    name=f"priceversion_{rate.removesuffix('_picousd')}_in_range",
                )
                for rate in _RATES
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.valid_from:%Y-%m-%d}"
