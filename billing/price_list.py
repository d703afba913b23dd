"""Published prices, from the ``genai-prices`` package. Only this module knows it; it asks no network.

The list is a source for new price versions, nothing more: what an admin has set stands above it, and a
model that the list does not know, or prices by the hour of the day, stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

from django.utils import timezone

from billing.errors import InvalidAmount
from billing.models import PriceVersion
from billing.prices import TierPrice, picousd_from_usd_per_million, set_price

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, Tier

SOURCE = "genai-prices"
# Our names of providers -> the list's, where they differ.
PROVIDERS = {"gemini": "google"}
_COLUMNS = {
    "input_picousd": "input_mtok",
    "cache_read_picousd": "cache_read_mtok",
    "cache_write_picousd": "cache_write_mtok",
    "output_picousd": "output_mtok",
}


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one model's price. ``outcome``: "new", "same", "unknown", "kept" (an admin's own price
    stands), "refused" (``reason`` says why).
    """

    model: str
    outcome: str
    reason: str = ""


def published_price(model: str, *, now: datetime | None = None) -> tuple[TierPrice, ...] | None:
    """The list's price of ``provider:name`` as tiers; None where it has none that could be used.

    Raises InvalidAmount for a price that the ledger cannot hold.
    """
    price = _find(model, now or timezone.now())
    if price is None or price.input_mtok is None or price.output_mtok is None:
        return None
    starts = {0} | {tier.start for name in _COLUMNS.values() for tier in _tiers(getattr(price, name))}
    return tuple(_tier(price, start) for start in sorted(starts))


def _find(model: str, now: datetime) -> ModelPrice | None:
    from genai_prices import data_snapshot  # slow to import, and needed by few processes
    from genai_prices.types import TimeOfDateConstraint

    provider_name, _, name = model.partition(":")
    wanted = PROVIDERS.get(provider_name, provider_name)
    for provider in data_snapshot.get_snapshot().providers:
        if provider.id != wanted:
            continue
        for found in provider.models:
            if found.is_match(name):
                conditions = found.prices if isinstance(found.prices, list) else []
                if any(isinstance(one.constraint, TimeOfDateConstraint) for one in conditions):
                    return None
                return found.get_prices(now)
    return None


def _tiers(price: object) -> list[Tier]:
    return list(getattr(price, "tiers", ()))


def _tier(price: ModelPrice, start: int) -> TierPrice:
    """The rates of calls with more than ``start`` input tokens; one without tiers holds in all."""
    columns: dict[str, int] = {}
    for column, name in _COLUMNS.items():
        rate = getattr(price, name)
        if rate is None:
            continue
        usd: Decimal = getattr(rate, "base", rate)
        for tier in _tiers(rate):
            if tier.start <= start:
                usd = tier.price
        columns[column] = picousd_from_usd_per_million(usd)
    return TierPrice(**columns, above_input_tokens=start)


def import_prices(
    models: Iterable[str], *, confirm: bool = False, now: datetime | None = None
) -> list[Imported]:
    """Bring the list's prices of these models into the ledger as new versions where they differ."""
    now = now or timezone.now()
    return [_import(model, confirm, now) for model in models]


def _import(model: str, confirm: bool, now: datetime) -> Imported:
    running = PriceVersion.objects.filter(model=model, valid_to__isnull=True).first()
    if running is not None and not running.source.startswith(SOURCE):
        return Imported(model, "kept", f"set by {running.source}")
    try:
        tiers = published_price(model, now=now)
        if tiers is None:
            return Imported(model, "unknown")
        source = f"{SOURCE} {version(SOURCE)}"
        made = set_price(model=model, tiers=tiers, source=source, confirm=confirm, valid_from=now)
    except InvalidAmount as error:
        return Imported(model, "refused", str(error))
    return Imported(model, "same" if running is not None and made[0].pk == running.pk else "new")
