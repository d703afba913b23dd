"""People by their names. The ledger knows numbers alone; only these pages look the names up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.http import HttpRequest

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

FOUND_AT_MOST = 100


def names_of(numbers: Iterable[int]) -> dict[int, str]:
    people = get_user_model()._default_manager.filter(pk__in=set(numbers))
    return {person.pk: person.get_username() for person in people}


def numbers_like(name: str) -> list[int]:
    """Of people whose names begin so."""
    people = get_user_model()._default_manager.filter(username__istartswith=name)
    return list(people.values_list("pk", flat=True)[:FOUND_AT_MOST])


def numbers_named(name: str) -> list[int]:
    """Of the person with exactly this name, by the index of names; else none."""
    people = get_user_model()._default_manager.filter(username=name)
    return list(people.values_list("pk", flat=True))


def number_of(text: str) -> int:
    """Of the person with this name; a number stays one, also of somebody who was deleted."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    for number in numbers_named(text):
        return number
    raise ValidationError(f"There is nobody with the name {text!r}.")


class PersonField(forms.CharField):
    """A person's name on the page, the number in the row."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": "Person", "max_length": 150, "help_text": "The name.", **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return names_of([value]).get(value, value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        return number_of(cleaned) if cleaned else None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class NamesPeople(_ModelAdmin):
    """A list with the column ``person``: the names of a page are read at once."""

    def person_number(self, row: Any) -> int | None:
        number: int | None = row.user_id
        return number

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        numbers = {row.pk: self.person_number(row) for row in page.result_list}
        names = names_of(number for number in numbers.values() if number is not None)
        for row in page.result_list:
            number = numbers[row.pk]
            row.person_name = "" if number is None else names.get(number, f"user {number}")
        return page

    @admin.display(description="person")
    def person(self, row: Any) -> str:
        return getattr(row, "person_name", None) or names_of([row.user_id]).get(
            row.user_id, f"user {row.user_id}"
        )
