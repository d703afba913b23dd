"""The dashboard's table of what people think of answers: counts by model."""

from __future__ import annotations

from datetime import datetime

from conversations.models import Feedback
from monitoring.tables import Table, share_percent


def feedback_table(
    start: datetime, end: datetime, *, model: str | None = None, provider: str | None = None
) -> Table:
    given = Feedback.objects.filter(created_at__gte=start, created_at__lt=end)
    if model is not None:
        given = given.filter(model=model)
    if provider is not None:
        given = given.filter(model__startswith=f"{provider}:")
    rows: list[list[object]] = []
    for row in given.counts_by_model():
        good, whole = row["good"], row["all"]
        assert isinstance(good, int)
        assert isinstance(whole, int)
        rows.append([row["model"], good, row["bad"], share_percent(good, whole), row["with_words"]])
    return Table(
        "feedback",
        "Feedback on answers",
        [
            ("Model", "text"),
            ("Good", "count"),
            ("Bad", "count"),
            ("Share of good ones", "percent"),
            ("With words", "count"),
        ],
        rows,
        note="What people pressed under answers. Their words and their chats are not shown to anybody else.",
    )
