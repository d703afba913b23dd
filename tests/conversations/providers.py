"""A scripted provider over HTTP, as the models of an ``openai`` and a ``gemini`` provider in this process."""

from __future__ import annotations

from typing import Any

from billing.prices import TierPrice, set_price
from llm.models import ModelProfile, Provider
from llm.profiles import clear_cache

KEY = "sk-scripted-0123456789"
KINDS = {"openai": "openai_compatible", "gemini": "gemini"}


def add_models(url: str, *names: str, **fields: Any) -> None:
    """``openai:NAME`` and ``gemini:NAME`` at the scripted server for every name, with a price."""
    for provider_name, kind in KINDS.items():
        provider, _ = Provider.objects.update_or_create(
            name=provider_name,
            defaults={
                "kind": kind,
                "base_url": f"{url}/v1" if kind == "openai_compatible" else url,
                "api_key_env": f"{provider_name.upper()}_API_KEY",
            },
        )
        for name in names:
            model_id = f"{provider_name}:{name}"
            ModelProfile.objects.update_or_create(
                model_id=model_id,
                defaults={
                    "provider": provider,
                    "context_window_tokens": 32_000,
                    "max_output_tokens": 8_000,
                    **fields,
                },
            )
            set_price(model=model_id, tiers=[TierPrice(100_000, 400_000)])
    clear_cache()
