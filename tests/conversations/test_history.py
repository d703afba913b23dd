"""What is read for a context: marks, the policy, the summary of this very branch, pins of long ago."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from conversations.branches import choose_branch
from conversations.context import HISTORY_TURNS
from conversations.exchanges import History
from conversations.history import branch_of, digest_of, history_before, history_of
from conversations.models import (
    ContextMark,
    ContextPolicy,
    Conversation,
    Generation,
    Preferences,
    Summary,
    Turn,
)
from tests.conversations.branches_made import answer_again, ask, long_talk

pytestmark = pytest.mark.django_db


def history(conversation: Conversation) -> History:
    conversation.refresh_from_db()
    head = conversation.head_turn
    assert head is not None
    return history_of(conversation.pk, head.pk, head.depth)


def summarise(conversation: Conversation, begin: int, end: int, text: str = "They met.") -> Summary:
    """A finished summary of the turns from depth ``begin`` to ``end`` of the branch that is shown."""
    head = conversation.head_turn
    assert head is not None
    covered = branch_of(conversation.pk, head.pk, head.depth)[begin : end + 1]
    return Summary.objects.create(
        conversation=conversation,
        from_depth=begin,
        until_depth=end,
        digest=digest_of(covered),
        before_tokens=100,
        model="demo:friendly",
        state=Summary.State.COMPLETED,
        text=text,
    )


def test_it_reads_the_branch_with_its_marks(conversation: Conversation) -> None:
    first = ask(conversation, "one", "1")
    ask(conversation, "two", "2")
    Turn.objects.filter(pk=first.pk).update(context_mark=ContextMark.PINNED)
    Generation.objects.filter(turn=first).update(context_mark=ContextMark.EXCLUDED)
    found = history(conversation)
    assert [(one.question, one.answer) for one in found.exchanges] == [("one", "1"), ("two", "2")]
    assert (found.exchanges[0].question_mark, found.exchanges[0].answer_mark) == ("pinned", "excluded")
    assert found.exchanges[0].turn_id == first.turn_id
    assert (found.policy, found.summary, found.older_turns) == (ContextPolicy.AUTO, None, 0)


def test_it_takes_the_conversations_policy_before_the_persons(
    conversation: Conversation, alice: User
) -> None:
    ask(conversation, "one", "1")
    Preferences.objects.create(user=alice, context_policy=ContextPolicy.LAST_2000_TOKENS)
    assert history(conversation).policy == ContextPolicy.LAST_2000_TOKENS
    Conversation.objects.update(context_policy=ContextPolicy.LAST_10_MESSAGES)
    assert history(conversation).policy == ContextPolicy.LAST_10_MESSAGES


def test_it_uses_the_summary_that_reaches_furthest(conversation: Conversation) -> None:
    long_talk(conversation, 6)
    summarise(conversation, 0, 1, "short")
    summarise(conversation, 0, 3, "longer")
    found = history(conversation).summary
    assert found is not None
    assert (found.text, found.begin, found.end) == ("longer", 0, 4)


def test_it_uses_no_summary_of_what_is_not_on_the_branch(conversation: Conversation) -> None:
    talk = long_talk(conversation, 4)
    summarise(conversation, 0, 2)
    assert history(conversation).summary
    # Another wording of the second question: the summary tells of the first one's.
    ask(conversation, "question 1, in other words", "another", parent=talk[0])
    assert history(conversation).summary is None
    choose_branch(user_id=conversation.owner_id, conversation_id=conversation.pk, turn_id=talk[1].turn_id)
    assert history(conversation).summary


def test_it_uses_a_summary_on_a_branch_that_parts_after_it(conversation: Conversation) -> None:
    talk = long_talk(conversation, 4)
    summarise(conversation, 0, 1)
    ask(conversation, "another third question", "3", parent=talk[1])
    assert history(conversation).summary
    # Where the question itself is among the covered ones, the branch before it is shorter.
    talk[1].refresh_from_db()
    assert history_before(talk[1]).summary is None


def test_it_uses_no_summary_of_another_version_of_an_answer(conversation: Conversation) -> None:
    talk = long_talk(conversation, 4)
    summarise(conversation, 0, 2)
    Turn.objects.filter(pk=talk[1].pk).update(chosen=answer_again(talk[1], "better"))
    assert history(conversation).summary is None


def test_it_uses_no_summary_of_what_was_excluded_since(conversation: Conversation) -> None:
    talk = long_talk(conversation, 4)
    summarise(conversation, 0, 2)
    Turn.objects.filter(pk=talk[1].pk).update(context_mark=ContextMark.EXCLUDED)
    assert history(conversation).summary is None
    Turn.objects.filter(pk=talk[1].pk).update(context_mark=ContextMark.PINNED)
    assert history(conversation).summary
    Generation.objects.filter(turn=talk[1]).update(context_mark=ContextMark.EXCLUDED)
    assert history(conversation).summary is None


def test_it_uses_no_summary_that_is_not_finished(conversation: Conversation) -> None:
    long_talk(conversation, 3)
    summary = summarise(conversation, 0, 1)
    for state in (Summary.State.QUEUED, Summary.State.RUNNING, Summary.State.FAILED):
        Summary.objects.filter(pk=summary.pk).update(state=state)
        assert history(conversation).summary is None


def test_it_finds_pins_and_summaries_beyond_what_it_reads(conversation: Conversation) -> None:
    talk = _chain(conversation, HISTORY_TURNS + 30)
    Turn.objects.filter(pk=talk[5].pk).update(context_mark=ContextMark.PINNED)
    summarise(conversation, 0, 40)
    found = history(conversation)
    assert len(found.exchanges) == HISTORY_TURNS
    assert found.exchanges[0].question == "q30"
    assert [one.question for one in found.pinned_before] == ["q5"]
    assert found.older_turns == 30
    assert found.summary is not None
    assert (found.summary.begin, found.summary.end) == (-30, 11)


def test_it_reads_little_of_a_long_conversation_without_them(
    conversation: Conversation, django_assert_num_queries: object
) -> None:
    _chain(conversation, HISTORY_TURNS + 5)
    head = conversation.head_turn
    assert head is not None
    with django_assert_num_queries(3):  # type: ignore[operator]  # steps, wishes, any pins
        assert history_of(conversation.pk, head.pk, head.depth).older_turns == 5


def _chain(conversation: Conversation, count: int) -> list[Turn]:
    turns: list[Turn] = []
    for depth in range(count):
        before = turns[-1] if turns else None
        turns.append(Turn(conversation=conversation, turn_id=f"{depth:032x}", parent=before, depth=depth))
        turns[-1].text = f"q{depth}"
    Turn.objects.bulk_create(turns)
    conversation.head_turn = turns[-1]
    conversation.save()
    return turns
