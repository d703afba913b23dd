"""What a conversation's page shows: turns with answers and receipts, the models, the meters."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count, F, Q, Sum, Value

from billing.budgets import Meter
from billing.models import Bearer, LedgerEntry
from billing.models.entry import GRANT_KINDS, TOKEN_COLUMNS
from billing.previews import meters_before
from billing.prices import rates
from billing.receipts import usd
from conversations.branches import siblings_of, versions_of
from conversations.continuing import options_of, problem_of
from conversations.events import Event
from conversations.feedback import verdicts_on
from conversations.markdown import to_html
from conversations.models import Conversation, Generation, Preferences, State, Turn
from conversations.notes import Note, notes_of
from conversations.rail import rail
from conversations.receipts import Receipt, receipts
from conversations.templatetags.figures import rate
from conversations.waiting_events import waiting_event
from llm.errors import UnknownModel
from llm.profiles import Profile, default_model_id, get_profile, list_profiles

# What a page begins with: the reader is at its end, and every turn costs a phone some of its first second.
TURNS_AT_FIRST = 25
# What is loaded at once when more is asked for.
TURNS_SHOWN = 50
# A link to one message shows everything from there on, with a little of what came before.
TURNS_ABOVE_LINK = 4
TURNS_LINKED = 1000
# Below the conversation's own address: file or page, icon, words.
EXPORTS = (
    ("export.md", "down-tray", "Export as Markdown"),
    ("export.html", "down-tray", "Export as HTML"),
    ("export.json", "down-tray", "Export as JSON"),
    ("print/", "print", "Print"),
)
ENDED_WORDS = {
    "completed": ("Response complete", "check"),
    "stopped": ("Stopped", "square"),
    "interrupted": ("Interrupted", "alert"),
    "failed": ("No answer", "alert"),
}
# A model that came to its limit has said so with success.
CUT = ("Cut at the length limit", "square")


@dataclass(frozen=True, slots=True)
class Answered:
    """A turn as the page shows it. ``html`` is sanitised; a live answer shows its raw ``text`` instead."""

    turn: Turn
    generation: Generation | None
    html: str
    receipt: Receipt | None
    problem: dict[str, Any] | None
    before: str = ""  # what a live answer continues
    versions: Sequence[uuid.UUID] = ()  # of the answer, oldest first
    notes: Sequence[Note] = ()
    options: Sequence[dict[str, Any]] = ()  # what can be done with an answer that has ended
    waiting: Event | None = None
    verdict: str = ""  # of the person on this version: up, down
    siblings: Sequence[uuid.UUID] = ()  # turn ids of all wordings of the question, oldest first

    @property
    def version_number(self) -> int:
        chosen = self.generation.pk if self.generation else None
        return self.versions.index(chosen) + 1 if chosen in self.versions else 0

    @property
    def sibling_number(self) -> int:
        return self.siblings.index(self.turn.turn_id) + 1 if self.turn.turn_id in self.siblings else 0

    def data(self) -> dict[str, Any]:
        """The same as JSON, for the script."""
        generation = self.generation
        return {
            "id": str(self.turn.turn_id),
            "text": self.turn.text,
            "siblings": [str(one) for one in self.siblings],
            "versions": [str(one) for one in self.versions],
            "generation": None
            if generation is None
            else {
                "id": str(generation.pk),
                "state": generation.state,
                "epoch": generation.epoch,
                "seq": generation.seq,
                "model": generation.model,
                "html": self.html,
                "prefix": self.before if generation.is_live else "",
                "receipt": self.receipt,
                "notes": list(self.notes),
                "options": list(self.options),
                "error": self.problem,
                "verdict": self.verdict,
            },
        }

    def notes_data(self) -> str:
        return orjson.dumps(self.notes).decode() if self.notes else ""

    def options_data(self) -> str:
        return orjson.dumps(self.options).decode() if self.options else ""

    def waiting_data(self) -> str:
        return orjson.dumps(self.waiting).decode() if self.waiting else ""

    @property
    def continue_option(self) -> dict[str, Any] | None:
        return next((one for one in self.options if one["action"] == "continue"), None)

    @property
    def ended_word(self) -> str:
        return self._ended[0]

    @property
    def ended_icon(self) -> str:
        return self._ended[1]

    @property
    def _ended(self) -> tuple[str, str]:
        state = self.generation.state if self.generation else ""
        if state == State.COMPLETED and self.continue_option:
            return CUT
        return ENDED_WORDS.get(state, ("", "check"))


@dataclass(frozen=True, slots=True)
class ModelChoice:
    model_id: str
    label: str
    detail: str
    chosen: bool
    temperature: float | None  # the default; None: it takes none
    output_tokens: int  # of an answer, by default
    max_output_tokens: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What the conversation has used: tokens, and USD as a decimal string. Not what the house bears."""

    tokens: int = 0
    cost_usd: str = "0"
    cost_known: bool = True


def answered_turns(
    conversation: Conversation, *, last: int = TURNS_SHOWN, head: Turn | None = None
) -> list[Answered]:
    """At most the ``last`` turns of the branch that ends with ``head``, by default the one shown."""
    return answered(conversation.path(last=last, head=head))


def answered(turns: Sequence[Turn]) -> list[Answered]:
    """Turns of one conversation with what the page shows of them; as many queries for one as for all."""
    found = receipts([turn.chosen for turn in turns if turn.chosen is not None])
    versions, siblings = versions_of(turns), siblings_of(turns)
    verdicts = verdicts_on(found)
    return [
        replace(
            _answered(turn, found),
            versions=versions.get(turn.pk, []),
            siblings=siblings.get(turn.pk, []),
            verdict=verdicts.get(turn.chosen_id, "") if turn.chosen_id else "",
        )
        for turn in turns
    ]


def _answered(turn: Turn, found: dict[uuid.UUID, Receipt]) -> Answered:
    generation = turn.chosen
    if generation is None:
        return Answered(turn, None, "", None, None)
    earlier = generation.continues
    before = earlier.answer_text() if earlier else ""
    html = ""
    if not generation.is_live:
        html = to_html(generation.answer_text()) if before else generation.html
    return Answered(
        turn,
        generation,
        html,
        found.get(generation.pk),
        problem_of(generation),
        before,
        notes=notes_of(generation),
        options=[] if generation.is_live else options_of(generation),
        waiting=waiting_event(generation) if generation.state == "waiting" else None,
    )


def totals(conversation: Conversation | None) -> Totals:
    """Of all turns, versions and branches: what the ledger charges to the person for this conversation."""
    if conversation is None:
        return Totals()
    entries = LedgerEntry.objects.filter(conversation_id=conversation.pk, bearer=Bearer.USER)
    tokens = sum((F(column) for column in TOKEN_COLUMNS), Value(0))
    found = entries.aggregate(
        tokens=Sum(tokens, default=0),
        cost=Sum("cost_nanousd", default=0),
        unpriced=Count("pk", filter=Q(cost_nanousd=None) & ~Q(kind__in=GRANT_KINDS)),
    )
    return Totals(found["tokens"], usd(found["cost"]) or "0", found["unpriced"] == 0)


def chosen_model(user: User, conversation: Conversation | None) -> str:
    """The conversation's model, else the person's, else the site's; only one that can be called."""
    preferred = Preferences.objects.filter(user=user).values_list("default_model", flat=True).first()
    for model in (conversation.model if conversation else "", preferred or ""):
        if model and is_usable(model):
            return model
    return default_model_id()


def is_usable(model: str) -> bool:
    try:
        return get_profile(model).usable
    except UnknownModel:
        return False


def model_choices(chosen: str) -> list[ModelChoice]:
    profiles = list(list_profiles())
    if chosen not in {profile.model_id for profile in profiles}:
        profiles.insert(0, get_profile(chosen))
    return [_choice(profile, chosen) for profile in profiles]


def _choice(profile: Profile, chosen: str) -> ModelChoice:
    found = rates(profile.model_id)
    if found is None:
        price = "price unknown"
    else:
        usd = found.usd_per_million()
        price = f"{rate(usd['input'])} in · {rate(usd['output'])} out per million"
    window = f"{profile.context_window_tokens // 1000:,}k context"
    detail = f"{price} · {window}"
    is_chosen = profile.model_id == chosen
    return ModelChoice(
        profile.model_id,
        profile.label,
        detail,
        is_chosen,
        profile.default_temperature,
        min(profile.default_output_tokens, profile.max_output_tokens),
        profile.max_output_tokens,
    )


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A budget that the next question meets. Shares of its limit in millionths: what is used or held, and
    what an answer of the model's usual length would add.
    """

    meter: Meter
    share_ppm: int
    next_ppm: int


def page_budgets(user: User, conversation: Conversation | None, model: str) -> list[BudgetRow]:
    """The limited budgets that the next question meets, the one that stops it first in front."""
    profile = get_profile(model)
    found = meters_before(
        user_id=user.pk,
        conversation_id=conversation.pk if conversation else None,
        model=model,
        output_tokens=min(profile.default_output_tokens, profile.max_output_tokens),
    )
    return [
        BudgetRow(meter, _ppm(meter.used + meter.held, meter.limit), _ppm(units, meter.limit))
        for meter, units in found
    ]


def _ppm(units: int, limit: int | None) -> int:
    return units * 10**6 // limit if limit else 10**12


def page_context(
    user: User, conversation: Conversation | None, *, before: Turn | None = None, linked: Turn | None = None
) -> dict[str, Any]:
    """Everything that the chat template needs.

    ``before``: the turns that lead to this one, not the last. ``linked``: as many as it takes to show it.
    """
    turns = []
    if conversation is not None and (before is None or before.parent is not None):
        last = TURNS_SHOWN if before else TURNS_AT_FIRST
        if linked is not None and conversation.head_turn is not None:
            back = conversation.head_turn.depth - linked.depth + 1 + TURNS_ABOVE_LINK
            last = min(max(last, back), TURNS_LINKED)
        turns = answered_turns(conversation, last=last, head=before.parent if before else None)
    model = chosen_model(user, conversation)
    budgets = page_budgets(user, conversation, model)
    return {
        "conversation": conversation,
        "exports": EXPORTS,
        "titles_offered": settings.TITLES,
        "makes_titles": not Preferences.objects.filter(user=user, makes_titles=False).exists(),
        "turns": turns,
        "is_live": any(one.generation is not None and one.generation.is_live for one in turns),
        "new_turn_id": uuid.uuid4(),
        "older": turns[0].turn if turns and turns[0].turn.parent_id else None,
        "totals": totals(conversation),
        "models": model_choices(model),
        "budgets": budgets,
        "meter": budgets[0].meter if budgets else None,
        "rail": rail(user),
        "temporary_minutes": max(1, round(settings.TEMPORARY_CHAT_SECONDS / 60)),
        "message_limit": settings.MESSAGE_LIMIT_CHARACTERS,
    }
