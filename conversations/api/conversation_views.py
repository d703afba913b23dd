"""Doors on conversations: list, create, read, change, delete, status."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import events
from conversations.api.base import RestView
from conversations.api.conversation_serializers import (
    ConversationChangeSerializer,
    ConversationCreateSerializer,
    ConversationListQuery,
    ConversationSerializer,
    ConversationSummarySerializer,
    ExportQuery,
    StatusSerializer,
)
from conversations.api.pagination import PAGE_PARAMETERS, ConversationPagination
from conversations.api.schema import WRITE, problems
from conversations.api.stopping import stop_and_wait
from conversations.broadcast import publish, user_topic
from conversations.conversations import (
    Changes,
    change_conversation,
    create_conversation,
    delete_conversation,
)
from conversations.database import in_database
from conversations.exceptions import NotFound
from conversations.export import export_response, find_conversation
from conversations.launch import stop_summary
from conversations.models import Conversation, Generation, State, Turn
from conversations.runtime import get_runtime
from conversations.waiting_events import waiting_event

TAGS = ["conversations"]


class ConversationsView(RestView):
    pagination_class = ConversationPagination

    @extend_schema(
        operation_id="list_conversations",
        tags=TAGS,
        parameters=[ConversationListQuery, *PAGE_PARAMETERS],
        responses={200: ConversationSummarySerializer(many=True), **problems("malformed")},
    )
    def get(self, request: Request) -> Response:
        """Your conversations, the most recently used first; temporary ones are not listed."""
        archived = self.read(ConversationListQuery, query=True)["archived"]
        owned = Conversation.objects.owned_by(self.user).filter(temporary=False)
        rows = owned.filter(archived_at__isnull=not archived).defer("system_prompt")
        pager = ConversationPagination()
        page = pager.paginate_queryset(rows, request, view=self)
        return pager.get_paginated_response(ConversationSummarySerializer(page, many=True).data)

    @extend_schema(
        operation_id="create_conversation",
        tags=TAGS,
        request=ConversationCreateSerializer,
        responses={201: ConversationSerializer, **problems(*WRITE, "unknown_model")},
    )
    def post(self, request: Request) -> Response:
        """A new, empty conversation."""
        fields = self.read(ConversationCreateSerializer)
        temporary = fields.pop("temporary")
        made = create_conversation(user_id=self.user.pk, changes=Changes(**fields), temporary=temporary)
        return Response(ConversationSerializer(made).data, status=201)


class ConversationView(RestView):
    @extend_schema(
        operation_id="read_conversation",
        tags=TAGS,
        responses={200: ConversationSerializer, **problems("not_found")},
    )
    def get(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """One conversation, with its system prompt."""
        return Response(ConversationSerializer(own(self.user.pk, conversation_id)).data)

    @extend_schema(
        operation_id="change_conversation",
        tags=TAGS,
        request=ConversationChangeSerializer,
        responses={200: ConversationSerializer, **problems(*WRITE, "not_found", "unknown_model")},
    )
    async def patch(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """Change the title, the model, the system prompt; pin, archive. What is left out stays."""
        fields = self.read(ConversationChangeSerializer)
        changed = await in_database(
            change_conversation,
            user_id=self.user.pk,
            conversation_id=conversation_id,
            changes=Changes(**fields),
        )
        for change in ("title", "pinned", "archived"):
            if change in fields:
                await self._tell(conversation_id, change, **{"title": changed.title, change: fields[change]})
        return Response(ConversationSerializer(changed).data)

    @extend_schema(
        operation_id="delete_conversation",
        tags=TAGS,
        responses={204: None, **problems("csrf_failed", "not_found", "conversation_busy")},
    )
    async def delete(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """Delete the conversation with all its messages. What they cost stays in the books.

        An answer or a summary that is being written is stopped first. 409 when the process that writes an
        answer does not end it in time.
        """
        live = await in_database(_live_turn, self.user.pk, conversation_id)
        if live is not None:
            await stop_and_wait(user_id=self.user.pk, turn=live)
        await stop_summary(get_runtime(), user_id=self.user.pk, conversation_id=conversation_id)
        await in_database(delete_conversation, user_id=self.user.pk, conversation_id=conversation_id)
        await self._tell(conversation_id, "deleted")
        return Response(status=204)

    async def _tell(self, conversation_id: uuid.UUID, change: str, **values: Any) -> None:
        event = events.conversation_updated(conversation_id, change, **values)
        await publish(user_topic(self.user.pk), event)


class ExportView(RestView):
    @extend_schema(
        operation_id="export_conversation",
        tags=TAGS,
        parameters=[ExportQuery],
        responses={
            (200, "application/json"): OpenApiResponse(
                OpenApiTypes.OBJECT, description="All wordings of all questions, all versions of answers."
            ),
            (200, "text/markdown"): OpenApiResponse(OpenApiTypes.STR, description="The branch shown."),
            (200, "text/html"): OpenApiResponse(OpenApiTypes.STR, description="The same, as a page."),
            **problems("malformed", "not_found"),
        },
    )
    def get(self, request: Request, conversation_id: uuid.UUID) -> HttpResponse:
        """The whole conversation as a file in JSON, or the branch shown in Markdown or as an HTML page."""
        extension = self.read(ExportQuery, query=True)["format"]
        found = find_conversation(user_id=self.user.pk, conversation_id=conversation_id)
        return export_response(found, {"markdown": "md"}.get(extension, extension))


class StatusView(RestView):
    @extend_schema(
        operation_id="read_conversation_status",
        tags=TAGS,
        responses={200: StatusSerializer, **problems("not_found")},
    )
    async def get(self, request: Request, conversation_id: uuid.UUID) -> Response:
        """What goes on: the answer that is being written or waits, else the last one."""
        generation = await in_database(_current, self.user.pk, conversation_id)
        status = await in_database(_status, conversation_id, generation)
        stream = get_runtime().streams.get(generation.pk) if generation is not None else None
        if stream is not None and status["busy"]:
            status["seq"] = max(status["seq"], stream.seq)  # the database is up to a second behind
        return Response(StatusSerializer(status).data)


def own(user_id: int, conversation_id: uuid.UUID) -> Conversation:
    """The person's conversation. Raises NotFound, also for those of others."""
    found = Conversation.objects.filter(pk=conversation_id, owner_id=user_id).first()
    if found is None:
        raise NotFound
    return found


def _live_turn(user_id: int, conversation_id: uuid.UUID) -> Turn | None:
    own(user_id, conversation_id)
    live = Generation.objects.live().filter(conversation_id=conversation_id)
    generation = live.select_related("turn").defer("text", "html").first()
    return None if generation is None else generation.turn


def _current(user_id: int, conversation_id: uuid.UUID) -> Generation | None:
    conversation = (
        Conversation.objects.select_related("head_turn").filter(pk=conversation_id, owner_id=user_id).first()
    )
    if conversation is None:
        raise NotFound
    generations = (
        Generation.objects.select_related("turn").filter(conversation=conversation).defer("text", "html")
    )
    live = generations.live().first()
    chosen_id = conversation.head_turn.chosen_id if conversation.head_turn is not None else None
    if live is not None or chosen_id is None:
        return live
    return generations.filter(pk=chosen_id).first()


def _status(conversation_id: uuid.UUID, generation: Generation | None) -> dict[str, Any]:
    if generation is None:
        empty = dict.fromkeys(StatusSerializer().fields)
        return {**empty, "conversation_id": conversation_id, "busy": False}
    waiting = waiting_event(generation) if generation.state == State.WAITING else None
    return {
        "conversation_id": conversation_id,
        "busy": generation.is_live,
        "turn_id": generation.turn.turn_id,
        "generation_id": generation.pk,
        "state": generation.state,
        "model": generation.model,
        "seq": generation.seq,
        "waiting_reason": generation.waiting_reason or None,
        "retry_at": generation.run_after if waiting else None,
        "waiting_detail": waiting and waiting["detail"],
        "options": waiting and waiting["options"],
        "attempt": generation.attempts_in_round,
        "max_attempts": settings.MAX_RETRIES,
        "created_at": generation.created_at,
        "finished_at": generation.finished_at,
    }
