"""Doors on the tree of a conversation: a question with its wordings and versions, which of them is shown,
and taking a question out.
"""

from __future__ import annotations

import uuid

from django.db.models import F
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import branches, events
from conversations.api.base import RestView
from conversations.api.generation_views import find_generation
from conversations.api.history import Message, read_answer, read_versions
from conversations.api.message_serializers import AnswerQuery, MessageSerializer
from conversations.api.schema import problems
from conversations.api.turn_serializers import RemovedSerializer, TurnSerializer
from conversations.api.turn_views import find_turn
from conversations.broadcast import conversation_topic, publish
from conversations.database import in_database
from conversations.models import Turn
from conversations.removals import remove_turn

TAGS = ["turns"]
CHANGED = problems("csrf_failed", "not_found", "conversation_busy")


class TurnView(RestView):
    @extend_schema(
        operation_id="read_turn",
        tags=TAGS,
        parameters=[AnswerQuery],
        responses={200: TurnSerializer, **problems("malformed", "not_found")},
    )
    def get(self, request: Request, turn_id: uuid.UUID) -> Response:
        """One question with all its wordings and all versions of its answer."""
        html = self.read(AnswerQuery, query=True)["html"]
        return _turn(find_turn(self.user.pk, turn_id), html=html)

    @extend_schema(operation_id="delete_turn", tags=TAGS, responses={200: RemovedSerializer, **CHANGED})
    async def delete(self, request: Request, turn_id: uuid.UUID) -> Response:
        """Delete a question with its answers, for good. What followed moves up; one of several wordings
        takes its branch along. What they cost stays in the books.
        """
        turn = await in_database(find_turn, self.user.pk, turn_id)
        removed = await in_database(
            remove_turn, user_id=self.user.pk, conversation_id=turn.conversation_id, turn_id=turn_id
        )
        told = events.turns_removed(turn.conversation_id, removed.turn_ids, removed.head_turn_id)
        await publish(conversation_topic(turn.conversation_id), *told)
        return Response(RemovedSerializer(removed).data)


class ChooseTurnView(RestView):
    @extend_schema(
        operation_id="choose_turn",
        tags=TAGS,
        parameters=[AnswerQuery],
        request=None,
        responses={200: TurnSerializer, **CHANGED, **problems("malformed")},
    )
    async def post(self, request: Request, turn_id: uuid.UUID) -> Response:
        """Show the branch of this wording, to its newest end; the next question goes there."""
        html = self.read(AnswerQuery, query=True)["html"]
        turn = await in_database(find_turn, self.user.pk, turn_id)
        head = await in_database(_choose_branch, self.user.pk, turn)
        told = events.branch_chosen(turn.conversation_id, head)
        await publish(conversation_topic(turn.conversation_id), told)
        return await in_database(_turn, turn, html=html)


class ChooseGenerationView(RestView):
    @extend_schema(
        operation_id="choose_generation",
        tags=["answers"],
        parameters=[AnswerQuery],
        request=None,
        responses={200: MessageSerializer, **CHANGED, **problems("malformed")},
    )
    async def post(self, request: Request, generation_id: uuid.UUID) -> Response:
        """Show this version of an answer; the next question builds on it."""
        html = self.read(AnswerQuery, query=True)["html"]
        found = await in_database(find_generation, self.user.pk, generation_id)
        turn = await in_database(
            branches.choose_version,
            user_id=self.user.pk,
            conversation_id=found.conversation_id,
            generation_id=generation_id,
        )
        told = events.version_chosen(found.conversation_id, turn.turn_id, generation_id)
        await publish(conversation_topic(found.conversation_id), told)
        message: Message = await in_database(read_answer, generation_id, html=html)
        return Response(MessageSerializer(message).data)


def _choose_branch(user_id: int, turn: Turn) -> uuid.UUID:
    """The turn_id at which the branch ends that is shown now."""
    branches.choose_branch(user_id=user_id, conversation_id=turn.conversation_id, turn_id=turn.turn_id)
    shown = Turn.objects.filter(conversation__head_turn=F("pk"), conversation=turn.conversation_id)
    return shown.values_list("turn_id", flat=True).get()


def _turn(turn: Turn, *, html: bool) -> Response:
    parent = turn.parent
    body = {
        "turn_id": turn.turn_id,
        "conversation_id": turn.conversation_id,
        "parent_turn_id": None if parent is None else parent.turn_id,
        "text": turn.text,
        "created_at": turn.created_at,
        "wordings": branches.siblings_of([turn]).get(turn.pk, []),
        "chosen": turn.chosen_id,
        "versions": read_versions(turn, html=html),
    }
    return Response(TurnSerializer(body).data)
