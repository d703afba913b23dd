"""Doors on one version of an answer: read it, and say what one thinks of it."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.base import RestView
from conversations.api.history import read_answer
from conversations.api.message_serializers import AnswerQuery, MessageSerializer
from conversations.api.schema import WRITE, problems
from conversations.api.turn_serializers import FeedbackSerializer
from conversations.exceptions import NotFound
from conversations.feedback import give_feedback, withdraw_feedback
from conversations.models import Feedback, Generation

TAGS = ["answers"]


class GenerationView(RestView):
    @extend_schema(
        operation_id="read_generation",
        tags=TAGS,
        parameters=[AnswerQuery],
        responses={200: MessageSerializer, **problems("malformed", "not_found")},
    )
    def get(self, request: Request, generation_id: uuid.UUID) -> Response:
        """One version of an answer, whether or not it is the one that is shown."""
        html = self.read(AnswerQuery, query=True)["html"]
        find_generation(self.user.pk, generation_id)
        return Response(MessageSerializer(read_answer(generation_id, html=html)).data)


class FeedbackView(RestView):
    @extend_schema(
        operation_id="read_feedback",
        tags=TAGS,
        responses={200: FeedbackSerializer, 204: None, **problems("not_found")},
    )
    def get(self, request: Request, generation_id: uuid.UUID) -> Response:
        """What you said of this answer; 204 when you said nothing."""
        find_generation(self.user.pk, generation_id)
        given = Feedback.objects.filter(generation_id=generation_id, user=self.user).first()
        return Response(status=204) if given is None else Response(FeedbackSerializer(given).data)

    @extend_schema(
        operation_id="give_feedback",
        tags=TAGS,
        request=FeedbackSerializer,
        responses={200: FeedbackSerializer, **problems(*WRITE, "not_found", "conversation_busy")},
    )
    def put(self, request: Request, generation_id: uuid.UUID) -> Response:
        """Say whether an answer is good or bad, in words too if you like; the last word counts. Operators
        see how many of each there are by model, never the words.
        """
        fields = self.read(FeedbackSerializer)
        conversation_id = find_generation(self.user.pk, generation_id).conversation_id
        given = give_feedback(
            user_id=self.user.pk, conversation_id=conversation_id, generation_id=generation_id, **fields
        )
        return Response(FeedbackSerializer(given).data)

    @extend_schema(
        operation_id="withdraw_feedback",
        tags=TAGS,
        responses={204: None, **problems("csrf_failed", "not_found")},
    )
    def delete(self, request: Request, generation_id: uuid.UUID) -> Response:
        """Take it back. Without any nothing happens."""
        conversation_id = find_generation(self.user.pk, generation_id).conversation_id
        withdraw_feedback(user_id=self.user.pk, conversation_id=conversation_id, generation_id=generation_id)
        return Response(status=204)


def find_generation(user_id: int, generation_id: uuid.UUID) -> Generation:
    """The person's version of an answer, without its text. Raises NotFound."""
    own = Generation.objects.filter(pk=generation_id, conversation__owner_id=user_id)
    generation = own.only("id", "conversation_id").first()
    if generation is None:
        raise NotFound("This answer")
    return generation
