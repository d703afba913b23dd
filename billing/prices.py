"""What tokens cost. Prices are versions: a change closes one and opens the next; unknown stays unknown."""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from billing import sql
from billing.errors import InvalidAmount, PriceChangeTooLarge
from billing.models import MAX_PRICE_PICOUSD, PriceVersion
from billing.usage import UsageCounts

_COLUMNS = (
    "p.id, p.model, p.above_input_tokens, p.input_picousd, p.cache_read_picousd, p.cache_write_picousd,"
    " p.tool_prompt_picousd, p.output_picousd, p.thinking_picousd"
)
RATE_NAMES = ("input", "cache_read", "cache_write", "tool_prompt", "output", "thinking")
MAX_CHANGE_FACTOR = 10


@dataclass(frozen=True, slots=True)
class Rates:
    """One tier of one price version, in pico-USD per token."""

    price_version_id: int
    model: str
    above_input_tokens: int
    input_picousd: int
    cache_read_picousd: int
    cache_write_picousd: int
    tool_prompt_picousd: int
    output_picousd: int
    thinking_picousd: int

    @property
    def worst_input_picousd(self) -> int:
        """No cache discount is assumed, and a provider may write its cache unasked."""
        return max(self.input_picousd, self.cache_write_picousd)

    @property
    def worst_output_picousd(self) -> int:
        return max(self.output_picousd, self.thinking_picousd)

    def usd_per_million(self) -> dict[str, str]:
        """For display: rate name -> USD per million tokens as a decimal string."""
        return {
            name: format(Decimal(getattr(self, f"{name}_picousd")).scaleb(-6).normalize(), "f")
            for name in RATE_NAMES
        }


def to_nanousd(picousd: int) -> int:
    """The one rounding rule: up, once per entry."""
    return -(-picousd // 1000)


def usage_cost(rates: Rates, usage: UsageCounts) -> int:
    """Nano-USD of one call."""
    return to_nanousd(
        usage.input_uncached * rates.input_picousd
        + usage.cache_read * rates.cache_read_picousd
        + usage.cache_write * rates.cache_write_picousd
        + usage.tool_prompt * rates.tool_prompt_picousd
        + usage.output_visible * rates.output_picousd
        + usage.thinking * rates.thinking_picousd
    )


def upper_cost(rates: Rates, input_tokens: int, output_tokens: int) -> int:
    """The most that a call can cost, in nano-USD."""
    return to_nanousd(input_tokens * rates.worst_input_picousd + output_tokens * rates.worst_output_picousd)


def any_model_of(model: str) -> str:
    """The name under which a price for all models of a provider stands: ``demo:*``."""
    return f"{model.partition(':')[0]}:*"


def find_tiers(model: str, now: datetime) -> tuple[Rates, ...]:
    """All tiers of the version valid at ``now``, lowest first; empty = price unknown.

    A model without a price of its own has that of ``provider:*``, where there is one.
    """
    at = sql.time_in(now)
    found = sql.prepared_rows(
        f"SELECT {_COLUMNS} FROM billing_priceversion p WHERE p.model IN (%s, %s) AND p.valid_from <= %s"
        " AND (p.valid_to IS NULL OR p.valid_to > %s) ORDER BY p.above_input_tokens",
        (model, any_model_of(model), at, at),
    )
    tiers = tuple(Rates(*row) for row in found)
    return tuple(tier for tier in tiers if tier.model == model) or tiers


def current_rates(models: Iterable[str], *, now: datetime | None = None) -> dict[str, Rates]:
    """The lowest tier of each model's running price; a model whose price is unknown is missing. One query."""
    at = now or timezone.now()
    wanted = list(models)
    names = {*wanted, *(any_model_of(model) for model in wanted)}
    running = PriceVersion.objects.filter(model__in=names, above_input_tokens=0, valid_from__lte=at)
    running = running.filter(Q(valid_to=None) | Q(valid_to__gt=at))
    by_name = {row.model: _rates_of(row) for row in running}
    found = {model: by_name.get(model) or by_name.get(any_model_of(model)) for model in wanted}
    return {model: rates for model, rates in found.items() if rates is not None}


def rates_by_version(price_version_ids: Iterable[int]) -> dict[int, Rates]:
    """The rates of these price versions by their number. One query."""
    found = PriceVersion.objects.in_bulk(set(price_version_ids))
    return {number: _rates_of(row) for number, row in found.items()}


def _rates_of(row: PriceVersion) -> Rates:
    return Rates(
        price_version_id=row.pk,
        model=row.model,
        above_input_tokens=row.above_input_tokens,
        **{f"{name}_picousd": getattr(row, f"{name}_picousd") for name in RATE_NAMES},
    )


def sibling_tiers(price_version_id: int) -> tuple[Rates, ...]:
    """All tiers of the version that this row belongs to, lowest first."""
    found = sql.prepared_rows(
        f"SELECT {_COLUMNS} FROM billing_priceversion o JOIN billing_priceversion p"
        " ON p.model = o.model AND p.valid_from = o.valid_from WHERE o.id = %s ORDER BY p.above_input_tokens",
        (price_version_id,),
    )
    return tuple(Rates(*row) for row in found)


def pick_tier(tiers: Sequence[Rates], input_tokens: int) -> Rates | None:
    """The tier that a call with this whole input falls into."""
    chosen: Rates | None = None
    for tier in tiers:
        if chosen is None or input_tokens > tier.above_input_tokens:
            chosen = tier
    return chosen


def rates(model: str, *, input_tokens: int = 0, now: datetime | None = None) -> Rates | None:
    """The rates that apply at ``now``, or None where the price is unknown."""
    return pick_tier(find_tiers(model, now or timezone.now()), input_tokens)


def quote(model: str, input_tokens: int, output_tokens: int, now: datetime | None = None) -> int | None:
    """The most that a call can cost in nano-USD; None = price unknown."""
    found = rates(model, input_tokens=input_tokens, now=now)
    return None if found is None else upper_cost(found, input_tokens, output_tokens)


def cost(model: str, usage: UsageCounts, now: datetime | None = None) -> int | None:
    """What a call with this usage costs in nano-USD; None = price unknown."""
    found = rates(model, input_tokens=usage.input_total, now=now)
    return None if found is None else usage_cost(found, usage)


def picousd_from_usd_per_million(text: str | Decimal) -> int:
    """ "0.0375" (USD per million tokens) -> 37500. Raises InvalidAmount where it is no such price."""
    try:
        usd = Decimal(text)
    except InvalidOperation:
        raise InvalidAmount(f"{text!r} is not a price in USD per million tokens") from None
    if not usd.is_finite():
        raise InvalidAmount(f"{text!r} is not a price")
    if usd < 0:
        raise InvalidAmount(f"a price cannot be negative: {text}")
    if usd * 1_000_000 > MAX_PRICE_PICOUSD:
        raise InvalidAmount(f"a price above $10,000 per million tokens is refused: {text}")
    picousd = usd * 1_000_000
    if picousd != picousd.to_integral_value():
        raise InvalidAmount(f"{text} is finer than a millionth of a dollar per million tokens")
    return int(picousd)


@dataclass(frozen=True, slots=True)
class TierPrice:
    """Rates of a tier in pico-USD per token; what is None follows ``input`` or ``output``."""

    input_picousd: int
    output_picousd: int
    cache_read_picousd: int | None = None
    cache_write_picousd: int | None = None
    tool_prompt_picousd: int | None = None
    thinking_picousd: int | None = None
    above_input_tokens: int = 0

    def columns(self) -> dict[str, int]:
        def either(value: int | None, default: int) -> int:
            return default if value is None else value

        return {
            "above_input_tokens": self.above_input_tokens,
            "input_picousd": self.input_picousd,
            "cache_read_picousd": either(self.cache_read_picousd, self.input_picousd),
            "cache_write_picousd": either(self.cache_write_picousd, self.input_picousd),
            "tool_prompt_picousd": either(self.tool_prompt_picousd, self.input_picousd),
            "output_picousd": self.output_picousd,
            "thinking_picousd": either(self.thinking_picousd, self.output_picousd),
        }


def set_price(
    *,
    model: str,
    tiers: Sequence[TierPrice],
    source: str = "hand",
    confirm: bool = False,
    valid_from: datetime | None = None,
) -> list[PriceVersion]:
    """Supersede the model's price. The same price again changes nothing and returns the running version.

    Raises InvalidAmount (negative, absurd, overlapping) and PriceChangeTooLarge for a change of more
    than tenfold in either direction, unless ``confirm``.
    """
    start = valid_from or timezone.now()
    with transaction.atomic():
        current = list(_open_tiers(model).select_for_update())
        columns = check_price(model=model, tiers=tiers, confirm=confirm, current=current)
        if [{name: getattr(row, name) for name in columns[0]} for row in current] == columns:
            return current
        if current and start <= current[0].valid_from:
            raise InvalidAmount("the new price would begin before the running one")
        PriceVersion.objects.filter(pk__in=[row.pk for row in current]).update(valid_to=start)
        return [
            PriceVersion.objects.create(model=model, valid_from=start, source=source, **tier)
            for tier in columns
        ]


def _open_tiers(model: str) -> QuerySet[PriceVersion]:
    return PriceVersion.objects.filter(model=model, valid_to__isnull=True).order_by("above_input_tokens")


def check_price(
    *,
    model: str,
    tiers: Sequence[TierPrice],
    confirm: bool,
    current: Sequence[PriceVersion] | None = None,
) -> list[dict[str, int]]:
    """What ``set_price`` would write, as columns per tier; raises what it would raise."""
    columns = _checked_columns(model, tiers)
    running = list(_open_tiers(model)) if current is None else current
    if running and not confirm:
        _check_change(running[0], columns[0])
    return columns


def _checked_columns(model: str, tiers: Sequence[TierPrice]) -> list[dict[str, int]]:
    if not model or len(model) > 120:
        raise InvalidAmount("a price needs the name of its model")
    columns = sorted((tier.columns() for tier in tiers), key=lambda tier: tier["above_input_tokens"])
    if not columns or columns[0]["above_input_tokens"] != 0:
        raise InvalidAmount("a price needs one tier that begins at 0 input tokens")
    if len({tier["above_input_tokens"] for tier in columns}) != len(columns):
        raise InvalidAmount("two tiers of a price begin at the same input")
    for tier in columns:
        for name, value in tier.items():
            if (
                type(value) is not int
                or value < 0
                or (name.endswith("_picousd") and value > MAX_PRICE_PICOUSD)
            ):
                raise InvalidAmount(f"{name} cannot be {value!r}")
    return columns


def _check_change(current: PriceVersion, new: dict[str, int]) -> None:
    for name in ("input_picousd", "output_picousd"):
        before, after = getattr(current, name), new[name]
        if max(before, after) > MAX_CHANGE_FACTOR * max(1, min(before, after)):
            raise PriceChangeTooLarge(
                f"{name} would go from {before} to {after}, more than tenfold; confirm if it is meant"
            )


def forget_price(*, model: str, now: datetime | None = None) -> int:
    """Make the model's price unknown from ``now`` on. Returns how many running tiers were closed."""
    return PriceVersion.objects.filter(model=model, valid_to__isnull=True).update(
        valid_to=now or timezone.now()
    )
