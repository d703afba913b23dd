"""Doors on prices: what a question, or another version of an answer, would take if it were asked now."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.base import RestView
from conversations.api.schema import WRITE, problems
from conversations.api.turn_serializers import QuoteSerializer, SendQuoteSerializer, VersionQuoteSerializer
from conversations.api.turn_views import find_turn
from conversations.export import find_conversation
from conversations.send_previews import SendPreview, preview_send, preview_version

ORDER = ("not_found", "unknown_model", "invalid_max_output_tokens", "context_too_long", "model_unavailable")


class SendQuoteView(RestView):
    @extend_schema(
        operation_id="quote_message",
        tags=["messages"],
        request=SendQuoteSerializer,
        responses={
            200: QuoteSerializer,
            **problems(*WRITE, *ORDER, "message_empty", "message_invalid", "message_too_long"),
        },
    )
    def post(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """What a question would take: tokens, the most that it can cost, what it leaves. A budget's refusal
        is an answer here (`refusal`). Nothing is sent, held or stored.
        """
        fields = self.read(SendQuoteSerializer)
        conversation = find_conversation(user_id=self.user.pk, conversation_id=conversation_id)
        return _quoted(preview_send(user_id=self.user.pk, conversation=conversation, **fields))


class VersionQuoteView(RestView):
    @extend_schema(
        operation_id="quote_turn",
        tags=["turns"],
        request=VersionQuoteSerializer,
        responses={200: QuoteSerializer, **problems(*WRITE, *ORDER, "nothing_to_continue")},
    )
    def post(self, request: Request, turn_id: uuid.UUID) -> Response:
        """What Retry, Continue or Regenerate would take. Retry and Continue have their model already:
        `model` counts for Regenerate. Nothing is sent, held or stored.
        """
        fields = self.read(VersionQuoteSerializer)
        turn = find_turn(self.user.pk, turn_id)
        return _quoted(preview_version(user_id=self.user.pk, turn=turn, **fields))


def _quoted(found: SendPreview) -> Response:
    return Response(QuoteSerializer({"model": found.profile.model_id, **found.data()}).data)
