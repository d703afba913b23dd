"""Doors: what the tools of one message do, as JSON for the page's script."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from conversations import events
from conversations.broadcast import conversation_topic, publish_from_thread
from conversations.feedback import give_feedback, withdraw_feedback
from conversations.models import Turn
from conversations.removals import remove_turn
from conversations.send_previews import preview_version
from conversations.thread_views import json_door, user_id_of


@json_door
@require_POST
def judge_answer(request: HttpRequest, conversation_id: uuid.UUID, generation_id: uuid.UUID) -> HttpResponse:
    """``verdict`` up or down, with ``words`` or without; empty takes it back."""
    verdict, user_id = request.POST.get("verdict", ""), user_id_of(request)
    if verdict:
        give_feedback(
            user_id=user_id,
            conversation_id=conversation_id,
            generation_id=generation_id,
            verdict=verdict,
            words=request.POST.get("words", ""),
        )
    else:
        withdraw_feedback(user_id=user_id, conversation_id=conversation_id, generation_id=generation_id)
    return JsonResponse({"verdict": verdict})


@json_door
@require_POST
def delete_turn(request: HttpRequest, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> HttpResponse:
    """Delete a question with its answers; other tabs take it off their pages."""
    removed = remove_turn(user_id=user_id_of(request), conversation_id=conversation_id, turn_id=turn_id)
    told = events.turns_removed(conversation_id, removed.turn_ids, removed.head_turn_id)
    publish_from_thread(conversation_topic(conversation_id), *told)
    head = None if removed.head_turn_id is None else str(removed.head_turn_id)
    return JsonResponse({"turn_ids": [str(one) for one in removed.turn_ids], "head_turn_id": head})


@json_door
@require_GET
def version_price(request: HttpRequest, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> HttpResponse:
    """What another version of the answer would take, with ``model`` or the one it was asked of."""
    user_id = user_id_of(request)
    turn = get_object_or_404(
        Turn.objects.select_related("conversation", "chosen", "parent"),
        conversation_id=conversation_id,
        conversation__owner_id=user_id,
        turn_id=turn_id,
    )
    found = preview_version(user_id=user_id, turn=turn, model=request.GET.get("model", ""))
    return JsonResponse(found.data())
