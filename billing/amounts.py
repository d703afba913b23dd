"""Limits as people write and read them: whole tokens, or US dollars for what is kept in nano-USD."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from billing.errors import InvalidAmount

NANO = 10**9
_MONEY = "nanousd"  # Unit.NANOUSD; the models themselves import this module


def read_amount(text: str, unit: str) -> int:
    """What a person typed as tokens or dollars, in the budget's unit. Raises InvalidAmount."""
    cleaned = text.strip().removeprefix("$").replace(",", "").replace(" ", "").replace("\u202f", "")
    try:
        amount = Decimal(cleaned)
    except InvalidOperation:
        raise InvalidAmount("a limit is a number, such as 20,000") from None
    if not amount.is_finite() or amount < 0 or amount > 10**12:
        raise InvalidAmount("this number cannot be a limit")
    units = amount * NANO if unit == _MONEY else amount
    if units != units.to_integral_value():
        raise InvalidAmount("tokens are whole" if unit != _MONEY else "dollars have up to nine decimals")
    return int(units)


def plain_amount(unit: str, units: int) -> str:
    """As ``read_amount`` takes it: "50000", or dollars with the cents: "5.00"."""
    if unit != _MONEY:
        return str(units)
    cents, rest = divmod(units, NANO // 100)
    if not rest:
        return f"{cents // 100}.{cents % 100:02}"
    return format(Decimal(units).scaleb(-9).normalize(), "f")


def amount_words(unit: str, units: int | None) -> str:
    """ "50,000 tokens", "$1,250.00", "unlimited"."""
    if units is None:
        return "unlimited"
    if unit != _MONEY:
        return f"{units:,} token{'' if units == 1 else 's'}"
    whole, point, cents = plain_amount(unit, units).partition(".")
    return f"${int(whole):,}{point}{cents}"
