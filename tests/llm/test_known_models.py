from __future__ import annotations

import pytest

from llm.models import ModelProfile, Provider

pytestmark = pytest.mark.django_db


def test_it_ships_models_that_are_valid() -> None:
    for provider in Provider.objects.all():
        provider.full_clean()
    for row in ModelProfile.objects.all():
        row.full_clean()
    ids = set(ModelProfile.objects.values_list("model_id", flat=True))
    assert {"gemini:gemini-2.5-flash", "openai:gpt-5", "openai:gpt-5-codex", "openai:gpt-4o-mini"} <= ids


def test_it_ships_what_each_model_takes() -> None:
    reasoning = ModelProfile.objects.get(model_id="openai:gpt-5")
    assert reasoning.default_temperature is None
    assert reasoning.max_tokens_parameter == "max_completion_tokens"
    flash = ModelProfile.objects.get(model_id="gemini:gemini-2.5-flash")
    assert (flash.thinking, flash.default_temperature, flash.minimum_output_tokens) == (True, 0.7, 1024)
