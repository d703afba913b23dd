"""Amounts in the forms of the admin: tokens or dollars as people write them, units in the rows."""

from __future__ import annotations

from typing import Any

from django import forms

from billing.amounts import plain_amount, read_amount
from billing.errors import InvalidAmount
from billing.models import Unit

UNITS = [(Unit.TOKENS.value, "tokens"), (Unit.NANOUSD.value, "US dollars")]


class AmountField(forms.CharField):
    """Tokens or dollars as people write them; ``read`` makes units of them, once the unit is known."""

    def __init__(self, **kwargs: Any) -> None:
        given = {"label": "Limit", "max_length": 40, "required": False, **kwargs}
        given.setdefault("help_text", "Tokens or US dollars, such as 50,000 or 4.50; empty: unlimited.")
        super().__init__(**given)

    @staticmethod
    def read(text: str, unit: str) -> int | None:
        return read_amount(text, unit) if text else None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed("" if initial is None else str(initial), data)


def show_amount(form: Any, name: str, unit: str) -> None:
    if isinstance(units := form.initial.get(name), int):
        form.initial[name] = plain_amount(unit, units)


def take_amount(form: Any, cleaned: dict[str, Any], name: str, unit: str) -> dict[str, Any]:
    if name in cleaned:
        try:
            cleaned[name] = AmountField.read(cleaned[name], cleaned.get("unit") or unit)
        except InvalidAmount as error:
            form.add_error(name, f"{error}.")
    return cleaned
