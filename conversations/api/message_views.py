"""Doors on the messages of a conversation: history, send, clear."""

from __future__ import annotations

import uuid
from functools import partial

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from conversations import events
from conversations.api.base import RestView
from conversations.api.history import read_history
from conversations.api.message_serializers import AnswerQuery, HistoryQuery, HistorySerializer
from conversations.api.order_serializers import SendSerializer
from conversations.api.schema import LAST_EVENT_ID, MESSAGE, answer_responses, problems
from conversations.api.sending import answer, order_of, send
from conversations.broadcast import conversation_topic, publish
from conversations.conversations import clear_history
from conversations.database import in_database
from conversations.models.ids import new_id
from conversations.turns import start_turn

TAGS = ["messages"]


class MessagesView(RestView):
    @extend_schema(
        operation_id="list_messages",
        tags=TAGS,
        parameters=[HistoryQuery],
        responses={200: HistorySerializer, **problems("malformed", "not_found")},
    )
    def get(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """The messages of the branch that is shown, oldest first; the latest turns, then page back."""
        query = self.read(HistoryQuery, query=True)
        page = read_history(
            user_id=self.user.pk,
            conversation_id=conversation_id,
            last=query["limit"],
            before=query["before"],
            html=query["html"],
        )
        older = None
        if page.before is not None:
            older = replace_query_param(request.build_absolute_uri(), "before", str(page.before))
        return Response(HistorySerializer({"results": page.messages, "next": older}).data)

    @extend_schema(
        operation_id="send_message",
        tags=TAGS,
        parameters=[AnswerQuery, LAST_EVENT_ID],
        request=SendSerializer,
        responses=answer_responses(*MESSAGE),
    )
    async def post(self, request: Request, conversation_id: uuid.UUID) -> HttpResponseBase:
        """Ask, and get the answer: as JSON when it has ended, or as it is written with
        `Accept: text/event-stream`. If the connection ends first, the answer goes on.
        """
        html = self.read(AnswerQuery, query=True)["html"]
        fields = self.read(SendSerializer)
        verb = partial(
            start_turn,
            user_id=self.user.pk,
            conversation_id=conversation_id,
            turn_id=fields.pop("turn_id", None) or new_id(),
            order=order_of(request, fields),
        )
        return await answer(request, await send(verb, user_id=self.user.pk), html=html)

    @extend_schema(
        operation_id="clear_messages",
        tags=TAGS,
        responses={204: None, **problems("csrf_failed", "not_found", "conversation_busy")},
    )
    async def delete(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """Delete all messages; the conversation stays, and so does what they cost in the books."""
        await in_database(clear_history, user_id=self.user.pk, conversation_id=conversation_id)
        cleared = events.conversation_updated(conversation_id, "cleared")
        await publish(conversation_topic(conversation_id), cleared)
        return Response(status=204)
