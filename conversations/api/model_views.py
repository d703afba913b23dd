"""The door on models: what may be asked, with limits and prices."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.prices import Rates, current_rates
from conversations.api.base import RestView
from conversations.api.model_serializers import ModelListSerializer
from conversations.api.schema import problems
from conversations.choices import choose_profile
from llm.profiles import Profile, list_profiles


class ModelsView(RestView):
    @extend_schema(
        operation_id="list_models", tags=["models"], responses={200: ModelListSerializer, **problems()}
    )
    def get(self, request: Request) -> Response:
        """The models that can be asked now. Prices are in USD per million tokens."""
        return Response(ModelListSerializer({"results": _models(self.user)}).data)


def _models(user: User) -> list[dict[str, Any]]:
    profiles = list_profiles()
    rates = current_rates(profile.model_id for profile in profiles)
    default = choose_profile("", user_id=user.pk).model_id
    return [_model(profile, rates.get(profile.model_id), default) for profile in profiles]


def _model(profile: Profile, rates: Rates | None, default: str) -> dict[str, Any]:
    return {
        "id": profile.model_id,
        "label": profile.label,
        "default": profile.model_id == default,
        "context_window_tokens": profile.context_window_tokens,
        "max_output_tokens": profile.max_output_tokens,
        "default_output_tokens": min(profile.default_output_tokens, profile.max_output_tokens),
        "default_temperature": profile.default_temperature,
        "max_temperature": profile.max_temperature,
        "streams": profile.streams,
        "thinking": profile.thinking,
        "prices": None if rates is None else rates.usd_per_million(),
    }
