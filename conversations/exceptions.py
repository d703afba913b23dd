"""What a verb may refuse, and with which words.

::

    Refusal                    a request that was understood and is not done; nothing was stored
    ├── NotFound               no such thing, or it belongs to somebody else
    ├── Invalid                the request itself is wrong (length, unknown model, bad value)
    ├── Conflict               it contradicts what is stored (id_conflict, conversation_busy)
    ├── BudgetRefused          a hard budget does not allow it
    └── Unavailable            it would be possible, but not now and here

Each carries a machine word (``code``), a sentence for the person (``detail``) and what would help
(``options``); every door translates them into its own form.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any


class Refusal(Exception):
    status = 400

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        options: Sequence[dict[str, Any]] = (),
        resets_at: datetime | None = None,
        estimate: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.options = list(options)
        self.resets_at = resets_at
        self.estimate = estimate


class NotFound(Refusal):
    status = 404

    def __init__(self, what: str = "This conversation") -> None:
        super().__init__("not_found", f"{what} does not exist.")


class Invalid(Refusal):
    status = 422


class Conflict(Refusal):
    status = 409


class BudgetRefused(Refusal):
    status = 429


class Unavailable(Refusal):
    status = 503
