"""A conversation as a file: Markdown and HTML of the branch that is shown, JSON of everything it holds."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

import orjson
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.http import content_disposition_header

from conversations.events import iso
from conversations.exceptions import NotFound
from conversations.markdown import to_html
from conversations.models import Conversation, Generation, Turn
from conversations.outcomes import describe_error
from conversations.receipts import Receipt, receipts
from conversations.templatetags.figures import model_name, receipt_line

FORMAT_VERSION = 1
NAME_LIMIT_CHARACTERS = 60
ENDED_EARLY = {"stopped": "Stopped.", "interrupted": "Interrupted.", "failed": "No answer."}


def find_conversation(*, user_id: int, conversation_id: uuid.UUID) -> Conversation:
    """Raises NotFound, also for those of others."""
    found = (
        Conversation.objects.select_related("head_turn").filter(pk=conversation_id, owner_id=user_id).first()
    )
    if found is None:
        raise NotFound
    return found


def file_name(conversation: Conversation, extension: str) -> str:
    """The title as the name of a file: letters and digits of any alphabet, and hyphens."""
    words = re.sub(r"[\W_]+", "-", conversation.title).strip("-").lower()[:NAME_LIMIT_CHARACTERS]
    return f"{words.strip('-') or 'conversation'}.{extension}"


def export_response(conversation: Conversation, extension: str) -> HttpResponse:
    """A download; ``extension`` is md, html or json."""
    if extension == "md":
        response = HttpResponse(to_markdown(conversation), content_type="text/markdown; charset=utf-8")
    elif extension == "html":
        response = HttpResponse(to_page(conversation, alone=True))
    else:
        body = orjson.dumps(to_json(conversation), option=orjson.OPT_INDENT_2)
        response = HttpResponse(body, content_type="application/json")
    response["Content-Disposition"] = content_disposition_header(True, file_name(conversation, extension))
    return response


# --- Markdown -----------------------------------------------------------------


def to_markdown(conversation: Conversation) -> str:
    """The branch that is shown, for people: who said what, and what each answer cost."""
    path = conversation.path()
    paid = receipts([turn.chosen for turn in path if turn.chosen is not None])
    parts = [f"# {conversation.title or 'Untitled'}\n"]
    for turn in path:
        parts.append(f"## You\n\n{turn.text.strip()}\n")
        if turn.chosen is not None:
            parts.append(_spoken(turn.chosen, paid.get(turn.chosen.pk)))
    return "\n".join(parts)


def _spoken(generation: Generation, receipt: Receipt | None) -> str:
    text = generation.answer_text().strip()
    note = _note(generation, receipt)
    parts = [f"## Assistant ({model_name(generation.model)})", text, f"*{note}*" if note else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def _note(generation: Generation, receipt: Receipt | None) -> str:
    """How it ended, if not well, and what it took."""
    notes = [ENDED_EARLY.get(generation.state, "")]
    if generation.error_code and not generation.is_live:
        notes.append(describe_error(generation.error_code, has_text=bool(generation.answer_text()))["detail"])
    if receipt is not None:
        notes.append(receipt_line(receipt))
    return " ".join(one for one in notes if one)


# --- HTML ---------------------------------------------------------------------


def to_page(conversation: Conversation, *, alone: bool, costs: bool = True) -> str:
    """The same as a page. ``alone``: with its own style and without links, to be kept as a file."""
    path = conversation.path()
    paid = receipts([turn.chosen for turn in path if turn.chosen is not None]) if costs else {}
    context = {
        "conversation": conversation,
        "title": conversation.title or "Untitled",
        "turns": [_printed(turn, paid) for turn in path],
        "alone": alone,
        "costs": costs,
    }
    return render_to_string("conversations/print.html", context)


def _printed(turn: Turn, paid: dict[uuid.UUID, Receipt]) -> dict[str, str]:
    generation = turn.chosen
    if generation is None or generation.is_live:
        return {"text": turn.text}
    return {
        "text": turn.text,
        "model": model_name(generation.model),
        "html": generation.html if generation.continues_id is None else to_html(generation.answer_text()),
        "note": _note(generation, paid.get(generation.pk)),
    }


# --- JSON ---------------------------------------------------------------------


def to_json(conversation: Conversation) -> dict[str, Any]:
    """All wordings of all questions and all versions of their answers, with their receipts."""
    turns = list(conversation.turns.select_related("parent", "chosen").order_by("created_at", "pk"))
    generations = list(Generation.objects.filter(conversation=conversation).order_by("created_at", "pk"))
    paid = receipts(generations)
    answers: dict[uuid.UUID, list[dict[str, Any]]] = {turn.pk: [] for turn in turns}
    for generation in generations:
        answers[generation.turn_id].append(_answer(generation, paid.get(generation.pk)))
    head = conversation.head_turn
    return {
        "format": "chatsite.conversation",
        "format_version": FORMAT_VERSION,
        "exported_at": iso(timezone.now()),
        "id": str(conversation.pk),
        "title": conversation.title,
        "model": conversation.model,
        "system_prompt": conversation.system_prompt,
        "created_at": iso(conversation.created_at),
        "updated_at": iso(conversation.updated_at),
        "head_turn_id": None if head is None else str(head.turn_id),
        "turns": [_turn(turn, answers[turn.pk]) for turn in turns],
    }


def _turn(turn: Turn, answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "turn_id": str(turn.turn_id),
        "parent_turn_id": None if turn.parent is None else str(turn.parent.turn_id),
        "text": turn.text,
        "created_at": iso(turn.created_at),
        "chosen_generation_id": None if turn.chosen_id is None else str(turn.chosen_id),
        "answers": answers,
    }


def _answer(generation: Generation, receipt: Receipt | None) -> dict[str, Any]:
    """One version. Of an answer that continues another one ``text`` is its own part."""
    return {
        "generation_id": str(generation.pk),
        "continues": None if generation.continues_id is None else str(generation.continues_id),
        "state": generation.state,
        "model": generation.model,
        "text": generation.text,
        "finish_reason": generation.finish_reason or None,
        "error_code": generation.error_code or None,
        "created_at": iso(generation.created_at),
        "finished_at": iso(generation.finished_at),
        "receipt": receipt,
    }
