"""What SQLite needs to see of a condition to use a partial index."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from billing.literals import Literal
from billing.models import Hold, LedgerEntry
from conversations.models import Generation, Summary

pytestmark = pytest.mark.django_db


def plan(asked: QuerySet[Hold] | QuerySet[Generation] | QuerySet[Summary]) -> str:
    """As it is asked: with bound parameters."""
    sql, params = asked.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL binds constants in the client")
def test_what_is_asked_all_the_time_is_found_by_its_partial_index() -> None:
    now = timezone.now()
    assert "hold_alive_by_lease" in plan(Hold.objects.alive())
    generations = Generation.objects
    for asked in (
        generations.live(),
        generations.due(now),
        generations.lapsed(now),
        generations.undecided(now),
    ):
        assert "generation_due" in plan(asked)
    assert "INDEX summary_" in plan(Summary.objects.lapsed(now))


def test_it_takes_no_text_from_elsewhere() -> None:
    with pytest.raises(ValueError, match="no word of ours"):
        LedgerEntry.objects.filter(kind=Literal("usage' OR 1=1 --")).exists()
