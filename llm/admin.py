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
        "context_window_tokens",
        "max_output_tokens",
        "default_output_tokens",
        "fallbacks",
        "requests_per_minute",
        "tokens_per_minute",
        "requests_per_day",
        "enabled",
        "position",
    ]
    list_editable = ["enabled", "position"]
    list_filter = ["provider", "enabled"]
    search_fields = ["model_id", "label"]
