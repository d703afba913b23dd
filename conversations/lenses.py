"""The context lens: what the next question would be sent with, message by message, and what it would cost."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from billing.previews import preview_hold
from billing.prices import rates
from billing.receipts import usd
from conversations.condensing import plan_summary
from conversations.context import Context, ContextMessage, message_tokens
from conversations.exceptions import NotFound
from conversations.leaner import context_after
from conversations.models import ContextPolicy, Conversation, Generation, Preferences, Summary, Turn
from conversations.send_previews import SendPreview, preview_question
from conversations.summaries import lock, summarisable
from conversations.summary_events import summary_data
from conversations.summary_holds import summary_hold
from llm.tokens import SHORT_TEXT_CHARACTERS

EXCERPT_CHARACTERS = 120
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person decides about a message: ``role`` "user" is the question, "assistant" its answer."""

    turn_id: uuid.UUID
    role: str
    mark: str


def read_lens(*, user_id: int, conversation_id: uuid.UUID, text: str = "", model: str = "") -> dict[str, Any]:
    """The context of ``text``, which may be empty, as the next question. Nothing is written.

    Tokens are those of the context as counted here; those of ``next`` are held. Raises NotFound, Invalid
    and Unavailable as a send would.
    """
    conversation = (
        Conversation.objects.select_related("head_turn__chosen")
        .filter(pk=conversation_id, owner_id=user_id)
        .first()
    )
    if conversation is None:
        raise NotFound
    preview = preview_question(user_id=user_id, conversation=conversation, text=text, model=model)
    context, profile = preview.context, preview.profile
    price = rates(profile.model_id)
    default = Preferences.objects.filter(user_id=user_id).values_list("context_policy", flat=True).first()
    return {
        "policy": conversation.context_policy or default or ContextPolicy.AUTO.value,
        "default_policy": default or ContextPolicy.AUTO.value,
        "model": profile.model_id,
        "window_tokens": profile.context_window_tokens,
        "budget_tokens": context.budget_tokens,
        "input_tokens": context.input_tokens,
        "breakdown": preview.data()["breakdown"],
        "input_usd_per_million": None if price is None else price.usd_per_million()["input"],
        "messages": [_message(one, profile.encoding) for one in context.messages],
        "older_turns": context.older_turns,
        "is_cut": context.is_cut,
        "next": preview.data(),
        "summary": _summary_in_use(context),
        "running": _running(conversation),
        "saving": _saving(user_id, conversation, preview, text),
    }


def _message(message: ContextMessage, encoding: str) -> dict[str, Any]:
    exchange = message.exchange
    words = " ".join(message.text[: 4 * EXCERPT_CHARACTERS].split())
    return {
        "turn_id": str(exchange.turn_id),
        "role": message.role,
        "excerpt": words if len(words) <= EXCERPT_CHARACTERS else words[: EXCERPT_CHARACTERS - 1] + "…",
        "tokens": _tokens(message, encoding),
        "status": message.status,
        "mark": message.mark,
    }


def _tokens(message: ContextMessage, encoding: str) -> int:
    """Counted, but for long messages that are not sent anyway: a whole archive would take seconds."""
    if message.status == "dropped" and len(message.text) > SHORT_TEXT_CHARACTERS:
        return len(message.text) // CHARACTERS_PER_TOKEN
    return message_tokens(message.text, encoding)


def _summary_in_use(context: Context) -> dict[str, Any] | None:
    if context.summary is None:
        return None
    found = Summary.objects.filter(pk=context.summary.id).first()
    return None if found is None else summary_data(found)


def _running(conversation: Conversation) -> dict[str, Any] | None:
    found = Summary.objects.live().filter(conversation=conversation).first()
    return None if found is None else summary_data(found)


def _saving(
    user_id: int, conversation: Conversation, preview: SendPreview, text: str
) -> dict[str, Any] | None:
    """What a summary of the older messages would cost, and how large the context was with it.

    ``offered``: so much is sent in full by now that it should be offered unasked.
    """
    profile, history = preview.profile, summarisable(conversation)
    plan = plan_summary(history, profile)
    if plan is None:
        return None
    call = summary_hold(plan, profile, user_id=user_id, conversation_id=conversation.pk)
    seen = preview_hold(call)
    in_full = [one for one in preview.context.messages if one.status in ("in", "pinned")]
    tokens = sum(message_tokens(one.text, profile.encoding) for one in in_full)
    exchanges = sum(one.role == "user" for one in in_full)
    grown = exchanges >= settings.SUMMARY_OFFER_EXCHANGES or tokens >= settings.SUMMARY_OFFER_TOKENS
    after = context_after(
        plan, history, conversation.system_prompt, text, profile, preview.wanted_output_tokens
    )
    fits = seen.output_cap_tokens is not None
    return {
        "messages": sum(2 if one.answer else 1 for one in history.exchanges[max(plan.begin, 0) : plan.end]),
        "before_tokens": preview.input_tokens,
        "after_tokens": after,
        "cost_usd": usd(seen.cost_nanousd) if fits else None,
        "call_tokens": call.input_tokens + call.wanted_output_tokens,
        "fits": fits,
        "offered": grown and fits and after < preview.input_tokens,
    }


def change_context(
    *,
    user_id: int,
    conversation_id: uuid.UUID,
    policy: str | None = None,
    as_default: bool = False,
    marks: Sequence[Mark] = (),
) -> None:
    """Choose the policy, here and as the person's default if wanted, and mark messages. All or nothing.

    An answer that is being written goes on with what it was sent with. Raises NotFound.
    """
    with transaction.atomic():
        conversation = lock(conversation_id, user_id)
        if policy is not None:
            conversation.context_policy = policy
            conversation.save(update_fields=["context_policy"])
            if as_default:
                Preferences.objects.update_or_create(user_id=user_id, defaults={"context_policy": policy})
        for mark in marks:
            _mark(conversation, mark)


def _mark(conversation: Conversation, mark: Mark) -> None:
    turn = Turn.objects.filter(conversation=conversation, turn_id=mark.turn_id).first()
    if turn is not None and mark.role == "user":
        Turn.objects.filter(pk=turn.pk).update(context_mark=mark.mark)
    elif turn is not None and turn.chosen_id is not None:
        Generation.objects.filter(pk=turn.chosen_id).update(context_mark=mark.mark)
    else:
        raise NotFound("This message")
