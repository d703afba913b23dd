"""The questions of ``make bench-usage`` on a small ledger: right books, and an index for every question."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.bench.usage import plans, scanned
from tests.bench.usage_questions import questions
from tests.bench.usage_seed import Size, fill_a_little
from tests.billing import play

SIZE = Size(entries=2_000, users=20, days=80, hours_a_day=1)


@pytest.mark.django_db
def test_no_question_reads_a_large_table_from_end_to_end() -> None:
    fill_a_little(SIZE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    # After it: with the statistics of empty tables PostgreSQL compares each row with each other.
    assert play.books_broken(SIZE.last_day) == []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # So small a table is read through for good reason; this shows whether there is another way.
            cursor.execute("SET LOCAL enable_seqscan = off")
    # REST reads by other connections, which do not see what this test has not committed.
    asked = [question for question in questions(SIZE) if not question.name.startswith("REST")]
    assert len(asked) >= 45
    for question in asked:
        found = plans(question)
        assert found, question.name
        wrong = [line for plan in found for line in scanned(plan, question.large)]
        assert wrong == [], question.name
