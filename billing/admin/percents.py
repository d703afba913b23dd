"""Percentages in the forms of the admin: "75, 90, 100" on the page, a list of integers in the row."""

from __future__ import annotations

from typing import Any

from django import forms


class PercentsField(forms.CharField):
    """Ascending and each once, however they are typed; at least one of them, from 1 to 100."""

    def __init__(self, **kwargs: Any) -> None:
        given = {"label": "Warns at, %", "max_length": 100, **kwargs}
        given.setdefault("help_text", "Percentages at which the person is warned, such as 75, 90, 100.")
        given.setdefault("initial", "75, 90, 100")
        super().__init__(**given)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        words = super().clean(value).replace("%", " ").replace(",", " ").replace(";", " ").split()
        found = {int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 4}
        if not words or len(found) != len(set(words)) or not all(1 <= one <= 100 for one in found):
            raise forms.ValidationError("Type percentages from 1 to 100, such as 75, 90, 100.")
        return sorted(found)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)
