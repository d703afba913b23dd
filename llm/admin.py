from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from llm.models import ModelProfile, Provider
from llm.profiles import read_api_key

if TYPE_CHECKING:  # generic for the type checker only
    _ProviderAdmin = admin.ModelAdmin[Provider]
    _ModelProfileAdmin = admin.ModelAdmin[ModelProfile]
else:
    _ProviderAdmin = _ModelProfileAdmin = admin.ModelAdmin


@admin.register(Provider)
class ProviderAdmin(_ProviderAdmin):
    list_display = ["name", "kind", "base_url", "api_key_env", "key_is_set", "enabled"]
    list_editable = ["enabled"]
    search_fields = ["name"]

    @admin.display(boolean=True, description="key is set")
    def key_is_set(self, provider: Provider) -> bool:
        return bool(read_api_key(provider.api_key_env))


@admin.register(ModelProfile)
class ModelProfileAdmin(_ModelProfileAdmin):
    list_display = [
        "model_id",
        "label",
        "context",
        "longest_answer",
        "usual_answer",
        "pace",
        "fallbacks",
        "enabled",
        "position",
    ]
    list_editable = ["enabled", "position"]
    list_filter = ["provider", "enabled"]
    search_fields = ["model_id", "label"]

    @admin.display(description="context", ordering="context_window_tokens")
    def context(self, model: ModelProfile) -> str:
        return f"{model.context_window_tokens:,}"

    @admin.display(description="longest answer", ordering="max_output_tokens")
    def longest_answer(self, model: ModelProfile) -> str:
        return f"{model.max_output_tokens:,}"

    @admin.display(description="usual answer", ordering="default_output_tokens")
    def usual_answer(self, model: ModelProfile) -> str:
        return f"{model.default_output_tokens:,}"

    @admin.display(description="pace it may be asked at")
    def pace(self, model: ModelProfile) -> str:
        limits = (
            (model.requests_per_minute, "calls a minute"),
            (model.tokens_per_minute, "tokens a minute"),
            (model.requests_per_day, "calls a day"),
        )
        return ", ".join(f"{limit:,} {words}" for limit, words in limits if limit is not None)
