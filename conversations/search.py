"""Search over the titles, questions and answers of a person."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_

from django.contrib.auth.models import User
from django.db.models import Case, F, OuterRef, Q, Subquery, Value, When

from conversations.models import Conversation, Generation, Turn
from conversations.rail import Found, searchable
from conversations.search_words import snippet, spellings, stands_in, words_of

SEARCH_LIMIT = 50


def search(user: User, query: str) -> list[Found]:
    """The person's own conversations, archived ones too, in whose title, or in one of whose questions or
    answers, all words of ``query`` stand. Of the answers a version that is shown comes first.
    """
    words = words_of(query)
    if not words:
        return []
    here = {"conversation": OuterRef("pk")}
    in_text = _holds("text", words)
    is_shown = Case(When(turn__chosen=F("pk"), then=Value(0)), default=Value(1))
    questions = Turn.objects.filter(in_text, **here).order_by("-created_at")
    answers = Generation.objects.filter(in_text, **here).order_by(is_shown, "-created_at")
    rows = list(
        searchable(user)
        .annotate(question=Subquery(questions.values("pk")[:1]), answer=Subquery(answers.values("pk")[:1]))
        .filter(_holds("title", words) | Q(question__isnull=False) | Q(answer__isnull=False))
        .order_by("-updated_at")[:SEARCH_LIMIT]
    )
    asked = Turn.objects.in_bulk([row.question for row in rows])
    answered = Generation.objects.select_related("turn").in_bulk([row.answer for row in rows])
    return [_found(row, asked.get(row.question), answered.get(row.answer), query) for row in rows]


def _found(row: Conversation, question: Turn | None, answer: Generation | None, query: str) -> Found:
    text = question.text if question else answer.text if answer else ""
    # A title that says it all needs no line below it.
    place = "" if stands_in(row.title, query) else snippet(text, query)
    if question is not None:
        return Found(row, place, query, question.turn_id)
    if answer is not None:
        hidden = None if answer.turn.chosen_id == answer.pk else answer.pk
        return Found(row, place, query, answer.turn.turn_id, hidden)
    return Found(row, "", query)


def _holds(column: str, words: list[str]) -> Q:
    """All words, each in one of its spellings."""
    return reduce(
        and_, (reduce(or_, (Q(**{f"{column}__icontains": one}) for one in spellings(word))) for word in words)
    )
