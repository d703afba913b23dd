"""Doors on the context of a conversation: what the next question is sent with, and its summary."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import events, turns
from conversations.api.base import RestView
from conversations.api.context_serializers import (
    ContextChangeSerializer,
    ContextQuery,
    ContextSerializer,
    SummaryOrderSerializer,
    SummarySerializer,
)
from conversations.api.schema import WRITE, problems
from conversations.broadcast import conversation_topic, publish
from conversations.database import in_database
from conversations.exceptions import Refusal
from conversations.launch import stop_summary, summarise
from conversations.lenses import Mark, change_context, read_lens
from conversations.models import Summary
from conversations.models.ids import new_id
from conversations.runtime import get_runtime
from conversations.summaries import drop_summaries
from conversations.summary_events import summary_data

TAGS = ["context"]
READ = ("unknown_model", "context_too_long", "model_unavailable")


class ContextView(RestView):
    @extend_schema(
        operation_id="read_context",
        tags=TAGS,
        parameters=[ContextQuery],
        responses={200: ContextSerializer, **problems("malformed", "not_found", *READ)},
    )
    def get(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """What the next question would be sent with, message by message, and what it would cost."""
        return self._lens(conversation_id)

    @extend_schema(
        operation_id="change_context",
        tags=TAGS,
        parameters=[ContextQuery],
        request=ContextChangeSerializer,
        responses={200: ContextSerializer, **problems(*WRITE, "not_found", *READ)},
    )
    async def patch(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """Choose the policy, pin or exclude messages; answers what it comes to. From the next question on."""
        fields = self.read(ContextChangeSerializer)
        await in_database(
            change_context,
            user_id=self.user.pk,
            conversation_id=conversation_id,
            policy=fields.get("policy"),
            as_default=fields["as_default"],
            marks=[Mark(**one) for one in fields["marks"]],
        )
        await publish(
            conversation_topic(conversation_id), events.conversation_updated(conversation_id, "context")
        )
        return await in_database(self._lens, conversation_id)

    def _lens(self, conversation_id: uuid.UUID) -> Response:
        query = self.read(ContextQuery, query=True)
        lens = read_lens(user_id=self.user.pk, conversation_id=conversation_id, **query)
        return Response(ContextSerializer(lens).data)


class SummaryView(RestView):
    @extend_schema(
        operation_id="summarise_conversation",
        tags=TAGS,
        request=SummaryOrderSerializer,
        responses={
            202: SummarySerializer,
            **problems(
                *WRITE,
                *("not_found", "unknown_model", "model_unavailable", "nothing_to_summarise"),
                *("summary_busy", "id_conflict", "budget_exceeded", "price_unknown"),
            ),
        },
    )
    async def post(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """Summarise the older messages: a call of its own, which you pay. It goes on by itself; `context/`
        tells when it is `completed`. The newest messages stay as they are, and nothing is deleted.
        """
        fields = self.read(SummaryOrderSerializer)
        summary_id = fields["summary_id"] or new_id()
        try:
            await summarise(
                get_runtime(),
                user_id=self.user.pk,
                conversation_id=conversation_id,
                summary_id=summary_id,
                model=fields["model"],
            )
        except Refusal as refusal:
            await in_database(turns.record_refused, refusal)
            raise
        summary = await in_database(Summary.objects.get, pk=summary_id)
        return Response(SummarySerializer(await in_database(summary_data, summary)).data, status=202)

    @extend_schema(
        operation_id="drop_summary",
        tags=TAGS,
        responses={204: None, **problems("csrf_failed", "not_found", "summary_busy")},
    )
    async def delete(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """Forget the summary: the messages are sent in full again, as far as they fit."""
        await in_database(drop_summaries, user_id=self.user.pk, conversation_id=conversation_id)
        await publish(
            conversation_topic(conversation_id), events.conversation_updated(conversation_id, "context")
        )
        return Response(status=204)


class SummaryStopView(RestView):
    @extend_schema(
        operation_id="stop_summary",
        tags=TAGS,
        request=None,
        responses={
            200: SummarySerializer,
            202: SummarySerializer,
            204: None,
            **problems("csrf_failed", "not_found"),
        },
    )
    async def post(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """Stop the summary that is being made. 200 with the last one at its end, 202 when it has not ended
        yet, 204 when there was none. What came is charged, as with an answer; one that was not sent, or
        waits, costs nothing.
        """
        runtime = get_runtime()
        stopped = await stop_summary(runtime, user_id=self.user.pk, conversation_id=conversation_id)
        found = Summary.objects.filter(conversation_id=conversation_id).order_by("-created_at")
        summary = stopped or await in_database(found.first)
        if summary is None:
            return Response(status=204)
        status = 202 if summary.is_live else 200
        return Response(SummarySerializer(await in_database(summary_data, summary)).data, status=status)
