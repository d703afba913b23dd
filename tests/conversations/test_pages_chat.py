"""The chat pages: what they show, to whom, and under which policy."""

from __future__ import annotations

import re
import uuid

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conversations.models import Conversation, Generation, Preferences, State, Turn
from conversations.templatetags import figures

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def conversation_of(user: User, *, title: str = "Rivers") -> Conversation:
    return Conversation.objects.create(owner=user, title=title, model="demo:friendly")


def answered(
    conversation: Conversation,
    question: str,
    text: str,
    *,
    html: str = "",
    state: State = State.COMPLETED,
    **values: object,
) -> Generation:
    parent = conversation.head_turn
    turn = Turn.objects.create(
        conversation=conversation,
        turn_id=uuid.uuid4(),
        parent=parent,
        depth=0 if parent is None else parent.depth + 1,
        text=question,
    )
    generation = Generation.objects.create(
        conversation=conversation,
        turn=turn,
        model="demo:friendly",
        wanted_output_tokens=100,
        state=state,
        text=text,
        html=html,
        **values,
    )
    turn.chosen = generation
    turn.save()
    conversation.head_turn = turn
    conversation.save()
    return generation


def body(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def test_it_shows_questions_as_text_and_answers_as_html(browser: Client, alice: User) -> None:
    conversation = conversation_of(alice)
    answered(conversation, "Why <b>?", "**So**", html="<p><strong>So</strong></p>")
    page = body(browser, f"/c/{conversation.pk}/")
    assert "Why &lt;b&gt;?" in page
    assert "<p><strong>So</strong></p>" in page
    assert "Response complete" in page
    Generation.objects.update(finish_reason="length")
    assert "Cut at the length limit" in body(browser, f"/c/{conversation.pk}/")


def test_it_shows_a_live_answer_as_raw_text_with_its_place(browser: Client, alice: User) -> None:
    conversation = conversation_of(alice)
    live = answered(conversation, "Why?", "<b>half", state=State.STREAMING, seq=7, epoch=2)
    page = body(browser, f"/c/{conversation.pk}/")
    assert f'data-generation-id="{live.pk}" data-epoch="2" data-seq="7" data-state="streaming"' in page
    assert 'data-raw="true">&lt;b&gt;half</div>' in page


def test_it_shows_a_continued_answer_as_one(browser: Client, alice: User) -> None:
    conversation = conversation_of(alice)
    first = answered(
        conversation, "Why?", "The quick brown fox", state=State.INTERRUPTED, error_code="stalled"
    )
    second = Generation.objects.create(
        conversation=conversation,
        turn=first.turn,
        continues=first,
        model="demo:friendly",
        wanted_output_tokens=9,
        state=State.COMPLETED,
        text="brown fox jumps",
    )
    Turn.objects.update(chosen=second)
    assert "<p>The quick brown fox jumps</p>" in body(browser, f"/c/{conversation.pk}/")
    assert body(browser, f"/c/{conversation.pk}/answers/{second.pk}.md") == "The quick brown fox jumps"


def test_it_says_why_an_answer_failed_and_what_helps(browser: Client, alice: User) -> None:
    conversation = conversation_of(alice)
    answered(conversation, "Why?", "Half", state=State.INTERRUPTED, error_code="stalled")
    page = body(browser, f"/c/{conversation.pk}/")
    assert "The answer stopped arriving. What came is kept." in page
    assert 'data-action="continue">Continue' in page


@pytest.mark.parametrize("url", ["/c/{0}/", "/c/{0}/answers/{1}.md"])
def test_it_hides_what_belongs_to_others(browser: Client, charlie: User, url: str) -> None:
    conversation = conversation_of(charlie)
    generation = answered(conversation, "secret", "secret")
    response = browser.get(url.format(conversation.pk, generation.pk))
    assert response.status_code == 404
    assert "secret" not in response.content.decode()


def test_it_lists_own_conversations_that_hold_a_question(browser: Client, alice: User, charlie: User) -> None:
    answered(conversation_of(alice, title="Mine <3"), "q", "a")
    conversation_of(alice, title="Empty")
    answered(conversation_of(charlie, title="Theirs"), "q", "a")
    page = body(browser, "/")
    assert "Mine &lt;3" in page
    assert "Empty" not in page
    assert "Theirs" not in page


def test_it_makes_a_conversation_by_post_for_scripts_and_forms(browser: Client, alice: User) -> None:
    made = browser.post("/new/", headers={"accept": "application/json"})
    assert made.status_code == 201
    assert Conversation.objects.get(owner=alice).pk == uuid.UUID(made.json()["id"])
    assert browser.post("/new/").status_code == 302
    assert browser.get("/new/").status_code == 405


def test_it_refuses_to_make_one_without_the_token(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post("/new/").status_code == 403
    assert not Conversation.objects.exists()


def test_it_remembers_a_model_for_the_conversation_and_the_person(browser: Client, alice: User) -> None:
    conversation = conversation_of(alice)
    assert browser.post(f"/c/{conversation.pk}/model/", {"model": "demo:500-200-20"}).status_code == 204
    conversation.refresh_from_db()
    assert conversation.model == "demo:500-200-20"
    assert Preferences.objects.get(user=alice).default_model == "demo:500-200-20"
    assert re.search(r'value="demo:500-200-20"[^>]* checked', body(browser, "/"))


def test_it_refuses_a_model_that_does_not_exist(browser: Client, alice: User, charlie: User) -> None:
    conversation = conversation_of(alice)
    assert browser.post(f"/c/{conversation.pk}/model/", {"model": "demo:what?"}).status_code == 422
    foreign = conversation_of(charlie)
    assert browser.post(f"/c/{foreign.pk}/model/", {"model": "demo:friendly"}).status_code == 404


def test_it_serves_the_chat_under_a_strict_policy_and_leaves_the_admin_its_scripts(
    browser: Client, root: User
) -> None:
    policy = browser.get("/")["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    browser.force_login(root)
    assert "require-trusted-types-for" not in browser.get("/admin/")["Content-Security-Policy"]


@pytest.mark.parametrize("url", ["/", "/login/"])
def test_it_writes_no_inline_script_or_style(browser: Client, url: str) -> None:
    page = browser.get(url, follow=True).content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


@pytest.mark.parametrize(("cookie", "attribute"), [("dark", 'data-theme="dark"'), ('"><script>', "")])
def test_it_writes_the_chosen_theme_into_the_page(browser: Client, cookie: str, attribute: str) -> None:
    browser.cookies["theme"] = cookie
    page = body(browser, "/")
    assert f'<html lang="en"{" " + attribute if attribute else ""}>' in page


def test_it_reads_a_long_conversation_with_few_queries(
    browser: Client, alice: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    conversation = conversation_of(alice)
    for number in range(60):
        answered(conversation, f"question {number}", f"answer {number}", html=f"<p>answer {number}</p>")
    browser.get(f"/c/{conversation.pk}/")
    with django_assert_max_num_queries(20):
        page = body(browser, f"/c/{conversation.pk}/")
    assert "answer 59" in page
    assert page.count('class="turn settled"') == 25


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("0.0041", "$0.0041"),
        ("0.00001", "<$0.0001"),
        ("0", "$0.00"),
        ("0.01", "$0.01"),
        ("1234.5", "$1,234.50"),
        (None, ""),
    ],
)
def test_it_writes_money_as_the_scripts_do(usd: str | None, text: str) -> None:
    assert figures.money(usd) == text


def test_it_writes_receipts_as_the_scripts_do() -> None:
    receipt = {
        "input_tokens": 1000,
        "cached_tokens": 200,
        "output_tokens": 204,
        "thinking_tokens": 4,
        "total_tokens": 1204,
        "cost_usd": "0.0041",
        "estimated": False,
        "first_token_ms": 310,
        "duration_ms": 2300,
        "model": "demo:friendly",
        "model_label": "Demo",
    }
    assert figures.receipt_line(receipt) == "1,204 tokens · 2.3 s · $0.0041"
    nothing = {**receipt, "charged": False, "total_tokens": 0, "duration_ms": 0}
    assert figures.receipt_line(nothing) == "not charged"
    assert figures.receipt_line({**receipt, "charged": False}) == "1,204 tokens · 2.3 s · not charged"
    unknown = {**receipt, "estimated": True, "cost_usd": None}
    assert figures.receipt_line(unknown) == "~1,204 tokens · 2.3 s · estimated"
    assert [row.label for row in figures.receipt_rows(receipt)][:6] == [
        "Input",
        "of which cached",
        "Output",
        "of which thinking",
        "Total tokens",
        "Cost",
    ]
    models = [(row.label, row.value) for row in figures.receipt_rows(receipt)][-2:]
    assert models == [("Model", "Demo"), ("Model id", "demo:friendly")]
    warm = figures.receipt_rows({**receipt, "temperature": 1.0})[-1]
    assert (warm.label, warm.value) == ("Temperature", "1")
    assert figures.receipt_rows({**receipt, "temperature": 0.7, "total_tokens": 0})[-1].label == "Model id"
    entry_id = "01a201ee-7586-707d-a521-b9f7a8588550"
    twice = figures.receipt_rows({**receipt, "attempts": 2, "entry_id": entry_id})
    assert figures.Row("Attempts", "2") in twice
    assert twice[-1] == figures.Row("Ledger entry", "…a8588550", href=f"/usage/entries/{entry_id}/")
    assert "Attempts" not in [row.label for row in figures.receipt_rows({**receipt, "attempts": 1})]
    assert figures.duration(125_000) == "2 min 5 s"


def test_it_sends_the_page_compressed(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert page["Content-Encoding"] == "gzip"
    assert len(page.content) < len(client.get("/").content) / 2


@pytest.mark.parametrize(
    ("url", "is_kept"),
    [
        ("/static/bundle/chat.ef448e865a6f.js", True),
        ("/static/bundle/highlight-534CWBGN.js", True),
        ("/static/bundle/chat.js", False),
        ("/static/img/mark.svg", False),
    ],
)
def test_files_with_a_hash_in_their_name_are_kept(url: str, is_kept: bool) -> None:
    assert bool(re.search(settings.WHITENOISE_IMMUTABLE_FILE_TEST, url)) is is_kept
