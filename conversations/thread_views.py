"""Doors: parts of a thread as JSON, for the page's script. Refusals are JSON with code and detail."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from conversations import branches, events
from conversations.broadcast import conversation_topic, publish_from_thread
from conversations.choices import read_length
from conversations.exceptions import NotFound, Refusal
from conversations.models import Conversation, Turn
from conversations.send_previews import preview_send
from conversations.thread_page import TURNS_SHOWN, answered, answered_turns

View = Callable[..., HttpResponse]

OUTLINE_TURNS = 2000


def json_door(view: View) -> View:
    """For signed-in people; what a verb refuses becomes JSON, what is not theirs a 404."""

    @functools.wraps(view)
    def door(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.detail) from error
        except Refusal as error:
            return JsonResponse({"code": error.code, "detail": error.detail}, status=error.status)

    return login_required(door)


@json_door
@require_GET
def older_turns(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The turns before the turn ``before``, oldest first, and whether there are more before them."""
    conversation = own_conversation(request, conversation_id)
    try:
        before = uuid.UUID(request.GET.get("before", ""))
    except ValueError as error:
        raise Http404 from error
    turn = get_object_or_404(conversation.turns.select_related("parent"), turn_id=before)
    turns = answered_turns(conversation, head=turn.parent) if turn.parent else []
    more = bool(turns) and turns[0].turn.parent_id is not None
    return JsonResponse({"turns": [one.data() for one in turns], "more": more})


@json_door
@require_GET
def newer_turns(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The turns of the branch that is shown after the turn ``after``, or all of them where it is empty.

    ``whole`` false: the branch does not lead there, or there are too many. Then the page is loaded anew.
    ``conversation``: how it stands in the list; the first question gives it a title and a place there.
    """
    conversation = own_conversation(request, conversation_id)
    after = request.GET.get("after", "")
    path = conversation.path(last=TURNS_SHOWN)
    known = [str(turn.turn_id) for turn in path]
    if after:
        whole, fresh = after in known, path[known.index(after) + 1 :] if after in known else []
    else:
        whole, fresh = not path or path[0].parent_id is None, path
    turns = [one.data() for one in answered(fresh)] if whole else []
    return JsonResponse({"turns": turns, "whole": whole, "conversation": conversation.in_list()})


@json_door
@require_GET
def outline(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Which turns the shown branch has, the ``last`` ones, with the version that is shown of each answer and
    how many wordings there are. ``whole``: there are none before them. ``conversation``: how it stands in
    the list.
    """
    conversation = own_conversation(request, conversation_id)
    try:
        last = min(max(int(request.GET.get("last", "")), 1), OUTLINE_TURNS)
    except ValueError as error:
        raise Http404 from error
    path = conversation.path(last=last)
    siblings = branches.siblings_of(path)
    turns = [
        {
            "id": str(turn.turn_id),
            "generation_id": None if turn.chosen_id is None else str(turn.chosen_id),
            "wordings": len(siblings[turn.pk]),
        }
        for turn in path
    ]
    whole = not path or path[0].parent_id is None
    told = {"revision": conversation.revision, "conversation": conversation.in_list()}
    return JsonResponse({**told, "turns": turns, "whole": whole})


@json_door
@require_GET
def one_turn(request: HttpRequest, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> HttpResponse:
    conversation = own_conversation(request, conversation_id)
    turn = get_object_or_404(conversation.turns.select_related("chosen"), turn_id=turn_id)
    return turn_response(turn)


@json_door
@require_POST
def choose_version(
    request: HttpRequest, conversation_id: uuid.UUID, generation_id: uuid.UUID
) -> HttpResponse:
    """Show another version of an answer; returns the turn as it is now."""
    turn = branches.choose_version(
        user_id=user_id_of(request), conversation_id=conversation_id, generation_id=generation_id
    )
    event = events.version_chosen(conversation_id, turn.turn_id, generation_id)
    publish_from_thread(conversation_topic(conversation_id), event)
    return turn_response(Turn.objects.select_related("chosen").get(pk=turn.pk))


@json_door
@require_POST
def choose_branch(request: HttpRequest, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> HttpResponse:
    """Show the branch of another wording; returns the turns from it on, at least the last ones."""
    conversation = branches.choose_branch(
        user_id=user_id_of(request), conversation_id=conversation_id, turn_id=turn_id
    )
    conversation = Conversation.objects.select_related("head_turn").get(pk=conversation.pk)
    turns = answered_turns(conversation, last=TURNS_SHOWN)
    head = turns[-1].turn.turn_id
    event = events.branch_chosen(conversation_id, head)
    publish_from_thread(conversation_topic(conversation_id), event)
    ids = [one.turn.turn_id for one in turns]
    start = ids.index(turn_id) if turn_id in ids else 0
    return JsonResponse({"turns": [one.data() for one in turns[start:]], "whole": turn_id in ids})


@json_door
@require_POST
def preview(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """What the text in the composer would take if it were sent now; nothing is written."""
    conversation = get_object_or_404(
        Conversation.objects.select_related("head_turn"), pk=conversation_id, owner_id=user_id_of(request)
    )
    found = preview_send(
        user_id=user_id_of(request),
        conversation=conversation,
        text=request.POST.get("text", ""),
        model=request.POST.get("model", ""),
        max_output_tokens=read_length(request.POST.get("max_output_tokens", "")),
    )
    return JsonResponse(found.data())


def turn_response(turn: Turn) -> HttpResponse:
    return JsonResponse({"turn": answered([turn])[0].data()})


def user_id_of(request: HttpRequest) -> int:
    user_id = request.user.pk
    assert isinstance(user_id, int)
    return user_id


def own_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> Conversation:
    return get_object_or_404(Conversation, pk=conversation_id, owner_id=user_id_of(request))
