"""The rail's pages: search over titles and texts, archived chats, temporary ones."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from conversations.models import Conversation, Generation, State, Turn

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def chat(user: User, title: str, question: str = "q", answer: str = "a", **values: object) -> Conversation:
    conversation = Conversation.objects.create(owner=user, title=title, **values)
    turn = Turn.objects.create(conversation=conversation, turn_id=uuid.uuid4(), text=question)
    turn.chosen = version(turn, answer)
    turn.save()
    conversation.head_turn = turn
    conversation.save()
    return conversation


def version(turn: Turn, text: str) -> Generation:
    return Generation.objects.create(
        conversation=turn.conversation,
        turn=turn,
        model="demo:friendly",
        wanted_output_tokens=9,
        state=State.COMPLETED,
        text=text,
    )


def titles(client: Client, **query: str) -> list[str]:
    return [one["title"] for one in client.get("/search/", query).json()["results"]]


def test_it_finds_titles_questions_and_answers(browser: Client, alice: User) -> None:
    chat(alice, "About the Danube")
    chat(alice, "Second", question="Where does the danube end?")
    chat(alice, "Third", answer="x " * 100 + "the Danube delta " + "y " * 100)
    chat(alice, "Fourth")
    assert set(titles(browser, q="danube")) == {"About the Danube", "Second", "Third"}
    third = next(one for one in browser.get("/search/?q=danube").json()["results"] if one["title"] == "Third")
    assert third["snippet"].startswith("…")
    assert "the Danube delta" in third["snippet"]
    assert len(third["snippet"]) < 120


def test_it_searches_in_own_chats_alone(browser: Client, alice: User, charlie: User) -> None:
    chat(charlie, "Secret Danube")
    chat(alice, "Hidden Danube", temporary=True)
    assert titles(browser, q="danube") == []


@pytest.mark.parametrize(
    "query", ["ärger", "ÄRGER", "ёлка", "東京", "Straße", "needle ÄRGER", "ärger  needle"]
)
def test_it_finds_words_of_any_language_in_any_order(browser: Client, alice: User, query: str) -> None:
    chat(alice, "Other", answer="Nothing of it")
    chat(alice, "Words", answer="Ёлка und Ärger in 東京, STRASSE;\n\nneedle " + "x " * 90)
    [found] = browser.get("/search/", {"q": query}).json()["results"]
    assert found["title"] == "Words"
    assert "needle" in found["snippet"]


def test_it_leads_to_the_place(browser: Client, alice: User) -> None:
    made = chat(alice, "Travels", question="Where to?", answer="To the Danube")
    turn = made.head_turn
    assert turn is not None
    place = f"?turn={turn.turn_id}&find=danube"
    assert (
        browser.get("/search/?q=danube").json()["results"][0]["url"]
        == f"/c/{made.pk}/{place}#turn-{turn.turn_id}"
    )
    assert f"/c/{made.pk}/{place.replace('&', '&amp;')}#turn-" in browser.get("/?q=danube").content.decode()
    assert browser.get("/search/?q=travels").json()["results"][0]["url"] == f"/c/{made.pk}/"
    other = version(turn, "Elbe")
    assert f"&answer={other.pk}#" in browser.get("/search/?q=elbe").json()["results"][0]["url"]


@pytest.mark.parametrize("query", ["%", "_", "'", "\\"])
def test_it_takes_wildcards_for_letters(browser: Client, alice: User, query: str) -> None:
    chat(alice, "Plain")
    chat(alice, f"With {query} in it")
    assert titles(browser, q=query) == [f"With {query} in it"]


def test_it_finds_nothing_for_nothing(browser: Client, alice: User) -> None:
    chat(alice, "Some")
    assert titles(browser, q="  ") == []
    assert titles(browser) == []


def test_it_lists_archived_ones_apart(browser: Client, alice: User) -> None:
    chat(alice, "Away", archived_at=timezone.now())
    chat(alice, "Here")
    assert titles(browser, archived="1") == ["Away"]
    assert set(titles(browser, q="a")) == {"Away", "Here"}


def test_it_searches_for_what_no_text_can_hold(browser: Client) -> None:
    assert browser.get("/search/", {"q": "a\x00b"}).json() == {"results": []}


def test_it_searches_without_scripts(browser: Client, alice: User) -> None:
    chat(alice, "About the <Danube>")
    page = browser.get("/?q=danube").content.decode()
    assert 'value="danube"' in page
    assert '<h2 data-field="found-heading">Found</h2>' in page
    assert page.count("About the &lt;Danube&gt;") >= 2  # in the hidden list too


def test_it_shows_the_archive_without_scripts(browser: Client, alice: User) -> None:
    chat(alice, "About the Danube", archived_at=timezone.now())
    page = browser.get("/?archived=1").content.decode()
    assert '<h2 data-field="found-heading">Archived</h2>' in page
    assert page.count("About the Danube") == 1
    assert "All conversations" in page


def test_it_needs_a_signed_in_person(client: Client) -> None:
    assert client.get("/search/?q=a").status_code == 302


def test_it_puts_pinned_chats_first(browser: Client, alice: User) -> None:
    chat(alice, "Old and pinned", pinned_at=timezone.now())
    chat(alice, "New")
    page = browser.get("/").content.decode()
    assert page.index("<h2>Pinned</h2>") < page.index("Old and pinned") < page.index("<h2>Today</h2>")


def test_it_makes_a_temporary_chat(browser: Client, alice: User) -> None:
    made = browser.post("/new/", {"temporary": "1"}, headers={"accept": "application/json"}).json()
    assert Conversation.objects.get(pk=made["id"]).temporary
    page = browser.get(made["url"]).content.decode()
    assert "data-temporary" in page
    assert "deleted 15 minutes after" in page
