"""Words of ours that stand in the SQL as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Value


class Literal(Value):
    """A constant such as a state. SQLite uses a partial index only where the query repeats the index's
    condition word for word, which a bound parameter does not.
    """

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        word = str(self.value)
        if not word.isidentifier():
            raise ValueError(f"{word!r} is no word of ours")
        return f"'{word}'", ()


def literals(words: Iterable[str]) -> list[Literal]:
    return [Literal(str(word)) for word in words]
