"""Doors on turns: stop an answer, or ask for another version of it."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.base import RestView
from conversations.api.history import Message, read_answer
from conversations.api.message_serializers import AnswerQuery, MessageSerializer
from conversations.api.order_serializers import (
    EditSerializer,
    RegenerateSerializer,
    SwitchSerializer,
    VersionSerializer,
)
from conversations.api.schema import LAST_EVENT_ID, MESSAGE, answer_responses, problems
from conversations.api.sending import Sent, answer, order_of, send
from conversations.api.stopping import stop_and_wait
from conversations.choices import Version
from conversations.database import in_database
from conversations.exceptions import NotFound
from conversations.launch import schedule, switch
from conversations.models import Generation, Turn
from conversations.models.ids import new_id
from conversations.queueing import Started
from conversations.runtime import get_runtime
from conversations.turns import edit_turn, start_version, started_before

TAGS = ["turns"]


class StopView(RestView):
    @extend_schema(
        operation_id="stop_turn",
        tags=TAGS,
        parameters=[AnswerQuery],
        request=None,
        responses={
            200: MessageSerializer,
            202: MessageSerializer,
            **problems("malformed", "csrf_failed", "not_found"),
        },
    )
    async def post(self, request: Request, turn_id: uuid.UUID) -> Response:
        """Stop the answer. The text so far stays. Stopping one that has ended is no error.

        200 with the answer at its end; 202 when the process that writes it has not ended it yet.
        """
        html = self.read(AnswerQuery, query=True)["html"]
        turn = await in_database(find_turn, self.user.pk, turn_id)
        generation = await stop_and_wait(user_id=self.user.pk, turn=turn)
        message, is_live = await in_database(_standing, turn, generation, html)
        return Response(MessageSerializer(message).data, status=202 if is_live else 200)


class SwitchView(RestView):
    @extend_schema(
        operation_id="switch_turn",
        tags=TAGS,
        parameters=[AnswerQuery, LAST_EVENT_ID],
        request=SwitchSerializer,
        responses=answer_responses("not_waiting"),
    )
    async def post(self, request: Request, turn_id: uuid.UUID) -> HttpResponseBase:
        """Give a waiting answer to another model now; the same answer goes on with it."""
        html = self.read(AnswerQuery, query=True)["html"]
        fields = self.read(SwitchSerializer)
        turn = await in_database(find_turn, self.user.pk, turn_id)
        runtime = get_runtime()
        generation = await switch(
            runtime,
            user_id=self.user.pk,
            conversation_id=turn.conversation_id,
            turn_id=turn_id,
            model=fields["model"],
            confirmed=fields["confirm"] or request.auth is not None,
        )
        started = await in_database(started_before, turn, generation)
        sent = Sent(started, runtime, await runtime.following.stream_of(generation), generation)
        return await answer(request, sent, html=html)


class ScheduleView(RestView):
    @extend_schema(
        operation_id="schedule_turn",
        tags=TAGS,
        parameters=[AnswerQuery],
        request=None,
        responses={
            202: MessageSerializer,
            **problems("malformed", "csrf_failed", "not_found", "not_waiting"),
        },
    )
    async def post(self, request: Request, turn_id: uuid.UUID) -> Response:
        """Send a waiting answer when the provider takes it. Nothing is held until then."""
        html = self.read(AnswerQuery, query=True)["html"]
        turn = await in_database(find_turn, self.user.pk, turn_id)
        generation = await schedule(
            get_runtime(), user_id=self.user.pk, conversation_id=turn.conversation_id, turn_id=turn_id
        )
        message = await in_database(read_answer, generation.pk, html=html)
        return Response(MessageSerializer(message).data, status=202)


class _VersionView(RestView):
    """Another version of an answer."""

    version: Version
    serializer = VersionSerializer

    async def start(self, request: Request, turn_id: uuid.UUID) -> HttpResponseBase:
        html = self.read(AnswerQuery, query=True)["html"]
        fields = self.read(self.serializer)
        verb = partial(
            _start_version,
            user_id=self.user.pk,
            turn_id=turn_id,
            generation_id=fields.pop("generation_id", None) or new_id(),
            version=self.version,
            order=order_of(request, fields),
        )
        return await answer(request, await send(verb, user_id=self.user.pk), html=html)


class RetryView(_VersionView):
    version = "retry"

    @extend_schema(
        operation_id="retry_turn",
        tags=TAGS,
        parameters=[AnswerQuery, LAST_EVENT_ID],
        request=VersionSerializer,
        responses=answer_responses(),
    )
    async def post(self, request: Request, turn_id: uuid.UUID) -> HttpResponseBase:
        """Answer the question again, with the same model."""
        return await self.start(request, turn_id)


class ContinueView(_VersionView):
    version = "continue"

    @extend_schema(
        operation_id="continue_turn",
        tags=TAGS,
        parameters=[AnswerQuery, LAST_EVENT_ID],
        request=VersionSerializer,
        responses=answer_responses("nothing_to_continue"),
    )
    async def post(self, request: Request, turn_id: uuid.UUID) -> HttpResponseBase:
        """Go on where the answer was cut. The text of the result is the whole answer."""
        return await self.start(request, turn_id)


class RegenerateView(_VersionView):
    version = "regenerate"
    serializer = RegenerateSerializer

    @extend_schema(
        operation_id="regenerate_turn",
        tags=TAGS,
        parameters=[AnswerQuery, LAST_EVENT_ID],
        request=RegenerateSerializer,
        responses=answer_responses(),
    )
    async def post(self, request: Request, turn_id: uuid.UUID) -> HttpResponseBase:
        """Answer the question again, with another model, temperature or length if wanted."""
        return await self.start(request, turn_id)


class EditView(RestView):
    @extend_schema(
        operation_id="edit_turn",
        tags=TAGS,
        parameters=[AnswerQuery, LAST_EVENT_ID],
        request=EditSerializer,
        responses=answer_responses(*MESSAGE),
    )
    async def post(self, request: Request, turn_id: uuid.UUID) -> HttpResponseBase:
        """Ask an earlier question anew, in other words, as a turn beside it. The old branch stays."""
        html = self.read(AnswerQuery, query=True)["html"]
        fields = self.read(EditSerializer)
        verb = partial(
            _edit,
            user_id=self.user.pk,
            turn_id=turn_id,
            new_turn_id=fields.pop("new_turn_id", None) or new_id(),
            order=order_of(request, fields),
        )
        return await answer(request, await send(verb, user_id=self.user.pk), html=html)


def find_turn(user_id: int, turn_id: uuid.UUID) -> Turn:
    """The person's turn. Ids are minted by clients: where one was used in two conversations, the newer."""
    turns = Turn.objects.filter(turn_id=turn_id, conversation__owner_id=user_id)
    turn = turns.order_by("-created_at").first()
    if turn is None:
        raise NotFound("This turn")
    return turn


def _start_version(*, user_id: int, turn_id: uuid.UUID, **values: Any) -> Started:
    turn = find_turn(user_id, turn_id)
    return start_version(user_id=user_id, conversation_id=turn.conversation_id, turn_id=turn_id, **values)


def _edit(*, user_id: int, turn_id: uuid.UUID, **values: Any) -> Started:
    turn = find_turn(user_id, turn_id)
    return edit_turn(user_id=user_id, conversation_id=turn.conversation_id, turn_id=turn_id, **values)


def _standing(turn: Turn, stopped: Generation | None, html: bool) -> tuple[Message, bool]:
    """The answer that was stopped, else the one that is shown, and whether it is still being written."""
    generation_id = stopped.pk if stopped is not None else turn.chosen_id
    if generation_id is None:
        raise NotFound("This answer")
    message = read_answer(generation_id, html=html)
    return message, message.finished_at is None
