"""Doors on what belongs to a person: preferences, and the search over their conversations."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.base import RestView
from conversations.api.person_serializers import (
    FoundListSerializer,
    PreferencesChangeSerializer,
    PreferencesSerializer,
    SearchQuery,
)
from conversations.api.schema import WRITE, problems
from conversations.preferences import change_preferences, read_preferences
from conversations.search import search


class PreferencesView(RestView):
    @extend_schema(
        operation_id="read_preferences",
        tags=["preferences"],
        responses={200: PreferencesSerializer, **problems()},
    )
    def get(self, request: Request) -> Response:
        """What you want everywhere: the model, the context policy, titles by a model, your time zone."""
        return Response(PreferencesSerializer(read_preferences(self.user.pk)).data)

    @extend_schema(
        operation_id="change_preferences",
        tags=["preferences"],
        request=PreferencesChangeSerializer,
        responses={200: PreferencesSerializer, **problems(*WRITE, "unknown_model", "model_unavailable")},
    )
    def patch(self, request: Request) -> Response:
        """Change some of it; what is left out stays. Days begin in a new time zone from the next one on."""
        fields: dict[str, Any] = self.read(PreferencesChangeSerializer)
        change_preferences(user_id=self.user.pk, **fields)
        return Response(PreferencesSerializer(read_preferences(self.user.pk)).data)


class SearchView(RestView):
    @extend_schema(
        operation_id="search_conversations",
        tags=["conversations"],
        parameters=[SearchQuery],
        responses={200: FoundListSerializer, **problems("malformed")},
    )
    def get(self, request: Request) -> Response:
        """Your conversations, archived ones too, whose title, or one of whose questions or answers, holds all
        of the words; the most recently used first, at most 50. Temporary ones are not found.
        """
        query = self.read(SearchQuery, query=True)["q"]
        return Response(FoundListSerializer({"results": search(self.user, query)}).data)
