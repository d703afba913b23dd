"""Versions of answers, wordings of questions and older turns: the doors of the page's script."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.holds import HoldRequest, dispatch_hold, place_hold, settle_hold
from billing.prices import TierPrice, set_price
from billing.usage import UsageCounts
from conversations.models import Conversation, Generation, State, Turn
from conversations.thread_page import totals

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def chat(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice, title="Rivers")


def answer(turn: Turn, text: str, state: State = State.COMPLETED, **values: object) -> Generation:
    return Generation.objects.create(
        conversation=turn.conversation,
        turn=turn,
        model="demo:friendly",
        wanted_output_tokens=9,
        state=state,
        text=text,
        html=f"<p>{text}</p>",
        **values,
    )


def ask(chat: Conversation, text: str, parent: Turn | None = None) -> Turn:
    turn = Turn.objects.create(
        conversation=chat,
        turn_id=uuid.uuid4(),
        parent=parent,
        depth=0 if parent is None else parent.depth + 1,
        text=text,
    )
    turn.chosen = answer(turn, f"answer to {text}")
    turn.save()
    chat.head_turn = turn
    chat.save()
    return turn


def texts(response: object) -> list[str]:
    return [turn["text"] for turn in response.json()["turns"]]  # type: ignore[attr-defined]


def test_it_shows_another_version(browser: Client, chat: Conversation) -> None:
    turn = ask(chat, "one")
    first, second = turn.chosen, answer(turn, "second")
    assert first
    page = browser.get(f"/c/{chat.pk}/").content.decode()
    assert f'data-versions="{first.pk} {second.pk}"' in page
    assert "Version 1 of 2" in page
    response = browser.post(f"/c/{chat.pk}/answers/{second.pk}/choose/")
    assert response.json()["turn"]["generation"]["html"] == "<p>second</p>"
    turn.refresh_from_db()
    assert turn.chosen_id == second.pk
    assert "Version 2 of 2" in browser.get(f"/c/{chat.pk}/").content.decode()


def test_it_counts_a_continued_answer_as_one_version(browser: Client, chat: Conversation) -> None:
    turn = ask(chat, "one")
    second = answer(turn, "and on", continues=turn.chosen)
    Turn.objects.update(chosen=second)
    assert f'data-versions="{second.pk}"' in browser.get(f"/c/{chat.pk}/").content.decode()


def test_it_shows_the_newest_end_of_another_wording(browser: Client, chat: Conversation) -> None:
    old = ask(chat, "old wording")
    follow = ask(chat, "follow up", old)
    ask(chat, "other follow up", old)
    Turn.objects.filter(pk=follow.pk).update(created_at=old.created_at)
    new = ask(chat, "new wording")
    assert "Version 2 of 2" in browser.get(f"/c/{chat.pk}/").content.decode()
    response = browser.post(f"/c/{chat.pk}/turns/{old.turn_id}/choose/")
    assert texts(response) == ["old wording", "other follow up"]
    assert response.json()["turns"][0]["siblings"] == [str(old.turn_id), str(new.turn_id)]
    page = browser.get(f"/c/{chat.pk}/").content.decode()
    assert "other follow up" in page
    assert "new wording" not in page


@pytest.mark.parametrize("what", ["answers/{0.chosen.pk}/choose/", "turns/{0.turn_id}/choose/"])
def test_it_does_not_switch_while_an_answer_is_written(
    browser: Client, chat: Conversation, what: str
) -> None:
    turn = ask(chat, "one")
    answer(turn, "half", State.STREAMING)
    response = browser.post(f"/c/{chat.pk}/{what.format(turn)}")
    assert response.status_code == 409
    assert response.json()["code"] == "conversation_busy"


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("post", "answers/{0.chosen.pk}/choose/"),
        ("post", "turns/{0.turn_id}/choose/"),
        ("get", "turns/{0.turn_id}/"),
        ("get", "turns/?before={0.turn_id}"),
    ],
)
def test_it_hides_the_turns_of_others(
    client: Client, charlie: User, chat: Conversation, method: str, what: str
) -> None:
    turn = ask(chat, "secret")
    client.force_login(charlie)
    response = getattr(client, method)(f"/c/{chat.pk}/{what.format(turn)}")
    assert response.status_code == 404
    assert "secret" not in response.content.decode()


def test_it_refuses_a_version_of_another_conversation(
    browser: Client, alice: User, chat: Conversation
) -> None:
    foreign = ask(Conversation.objects.create(owner=alice), "elsewhere")
    ask(chat, "one")
    assert foreign.chosen
    assert browser.post(f"/c/{chat.pk}/answers/{foreign.chosen.pk}/choose/").status_code == 404
    assert browser.post(f"/c/{chat.pk}/turns/{foreign.turn_id}/choose/").status_code == 404


def test_it_loads_older_turns_page_by_page(browser: Client, chat: Conversation) -> None:
    turns: list[Turn] = []
    for number in range(103):
        turns.append(ask(chat, f"question {number}", turns[-1] if turns else None))
    page = browser.get(f"/c/{chat.pk}/turns/", {"before": str(turns[53].turn_id)})
    assert texts(page) == [f"question {number}" for number in range(3, 53)]
    assert page.json()["more"] is True
    last = browser.get(f"/c/{chat.pk}/turns/", {"before": str(turns[3].turn_id)})
    assert texts(last) == ["question 0", "question 1", "question 2"]
    assert last.json()["more"] is False
    assert browser.get(f"/c/{chat.pk}/turns/", {"before": str(turns[0].turn_id)}).json()["turns"] == []
    assert browser.get(f"/c/{chat.pk}/turns/", {"before": "x"}).status_code == 404


def test_it_pages_back_without_scripts(browser: Client, chat: Conversation) -> None:
    turns: list[Turn] = []
    for number in range(52):
        turns.append(ask(chat, f"question {number};", turns[-1] if turns else None))
    page = browser.get(f"/c/{chat.pk}/").content.decode()
    assert f'href="?before={turns[27].turn_id}"' in page
    older = browser.get(f"/c/{chat.pk}/", {"before": str(turns[27].turn_id)}).content.decode()
    assert "question 26;" in older
    assert "question 27;" not in older
    older = browser.get(f"/c/{chat.pk}/", {"before": str(turns[2].turn_id)}).content.decode()
    assert "question 0;" in older
    assert "question 1;" in older
    assert "question 2;" not in older
    assert "?before=" not in older


def test_it_counts_the_whole_conversation(alice: User, chat: Conversation) -> None:
    """All versions and branches, not the turns that the page shows."""
    set_price(model="demo:friendly", tiers=[TierPrice(100_000, 400_000)])
    turn = ask(chat, "one")
    for number in range(2):
        key = uuid.uuid4()
        hold = place_hold(
            HoldRequest(
                key=f"{key}:1",
                fingerprint="x",
                user_id=alice.pk,
                conversation_id=chat.pk,
                generation_id=answer(turn, f"version {number}").pk,
                attempt=1,
                purpose="answer",
                model="demo:friendly",
                input_tokens=100,
                wanted_output_tokens=100,
                minimum_output_tokens=1,
                lease_seconds=60,
            )
        )
        assert dispatch_hold(hold.pk)
        settle_hold(hold.pk, usage=UsageCounts(input_uncached=100, output_visible=50), estimated=False)
    found = totals(chat)
    assert (found.tokens, found.cost_known) == (300, True)
    assert found.cost_usd == "0.00006"


# --- Turns that a page has missed -----------------------------------------------------------


def newer(browser: Client, chat: Conversation, after: Turn | None) -> dict[str, Any]:
    params = {"after": str(after.turn_id)} if after else {}
    found: dict[str, Any] = browser.get(f"/c/{chat.pk}/turns/newer/", params).json()
    assert found.pop("conversation") == Conversation.objects.get(pk=chat.pk).in_list()
    return found


def test_it_gives_what_follows_a_turn(browser: Client, chat: Conversation) -> None:
    assert newer(browser, chat, None) == {"turns": [], "whole": True}
    first = ask(chat, "One")
    second = ask(chat, "Two", first)
    third = ask(chat, "Three", second)
    assert Conversation.objects.get(pk=chat.pk).in_list()["listed"]
    for after, expected in ((None, ["One", "Two", "Three"]), (first, ["Two", "Three"]), (third, [])):
        found = newer(browser, chat, after)
        assert (found["whole"], [turn["text"] for turn in found["turns"]]) == (True, expected)


def test_it_says_where_the_branch_does_not_lead_to_the_turn(browser: Client, chat: Conversation) -> None:
    first = ask(chat, "One")
    other = ask(chat, "Two", first)
    ask(chat, "Two in other words", first)
    assert newer(browser, chat, other) == {"turns": [], "whole": False}
    assert [turn["text"] for turn in newer(browser, chat, first)["turns"]] == ["Two in other words"]


def test_it_says_where_there_are_too_many_to_catch_up_with(
    browser: Client, chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversations.thread_views.TURNS_SHOWN", 2)
    first = ask(chat, "One")
    ask(chat, "Three", ask(chat, "Two", first))
    assert newer(browser, chat, first) == {"turns": [], "whole": False}
    assert newer(browser, chat, None) == {"turns": [], "whole": False}


def outline(browser: Client, chat: Conversation, last: int | str = 50) -> dict[str, Any]:
    found: dict[str, Any] = browser.get(f"/c/{chat.pk}/turns/outline/", {"last": last}).json()
    return found


def test_it_tells_what_the_branch_is_made_of(browser: Client, chat: Conversation) -> None:
    row = {"title": chat.title, "pinned": False, "listed": False}
    assert outline(browser, chat) == {"revision": 0, "turns": [], "whole": True, "conversation": row}
    first = ask(chat, "One")
    ask(chat, "Two", first)
    second = ask(chat, "Two in other words", first)
    third = ask(chat, "Three", second)
    again = answer(first, "another")
    browser.post(f"/c/{chat.pk}/answers/{again.pk}/choose/")
    expected = [
        {"id": str(first.turn_id), "generation_id": str(again.pk), "wordings": 1},
        {"id": str(second.turn_id), "generation_id": str(second.chosen_id), "wordings": 2},
        {"id": str(third.turn_id), "generation_id": str(third.chosen_id), "wordings": 1},
    ]
    told = {"revision": 1, "conversation": {**row, "listed": True}}
    assert outline(browser, chat) == {**told, "turns": expected, "whole": True}
    assert outline(browser, chat, 2) == {**told, "turns": expected[1:], "whole": False}
    for wrong in ("", "many"):
        assert browser.get(f"/c/{chat.pk}/turns/outline/", {"last": wrong}).status_code == 404


def test_a_live_answer_comes_with_what_it_continues(browser: Client, chat: Conversation) -> None:
    turn = ask(chat, "One")
    turn.chosen = answer(turn, "", State.RUNNING, continues=turn.chosen)
    turn.save()
    told = newer(browser, chat, None)["turns"][0]["generation"]
    assert (told["state"], told["prefix"], told["html"]) == ("running", "answer to One", "")


def test_what_is_newer_belongs_to_its_owner(client: Client, chat: Conversation, bob: User) -> None:
    client.force_login(bob)
    assert client.get(f"/c/{chat.pk}/turns/newer/").status_code == 404
    assert client.get(f"/c/{chat.pk}/turns/outline/", {"last": 5}).status_code == 404
