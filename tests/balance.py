"""Whether the books balance when nothing runs any more."""

from __future__ import annotations

from billing.books import check_books
from billing.models import Hold
from conversations.database import in_database


async def assert_books_balance() -> None:
    """No hold is alive and every invariant holds."""
    assert await in_database(Hold.objects.alive().count) == 0
    findings = await in_database(lambda: [finding for finding in check_books() if finding.rows])
    assert findings == []
