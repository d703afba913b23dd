"""Models with their limits and prices."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class PricesSerializer(serializers.Serializer[Any]):
    """USD per million tokens, as decimals."""

    input = serializers.CharField()
    cache_read = serializers.CharField()
    cache_write = serializers.CharField()
    tool_prompt = serializers.CharField()
    output = serializers.CharField()
    thinking = serializers.CharField()


class ModelSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the metaclass takes it: no attribute is hidden
    default = serializers.BooleanField(help_text="Used where a new conversation names no model.")
    context_window_tokens = serializers.IntegerField()
    max_output_tokens = serializers.IntegerField()
    default_output_tokens = serializers.IntegerField()
    default_temperature = serializers.FloatField(allow_null=True, help_text="null: takes none.")
    max_temperature = serializers.FloatField()
    streams = serializers.BooleanField()
    thinking = serializers.BooleanField()
    prices = PricesSerializer(allow_null=True, help_text="null = price unknown.")


class ModelListSerializer(serializers.Serializer[Any]):
    results = ModelSerializer(many=True)
