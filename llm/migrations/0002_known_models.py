from __future__ import annotations

from django.db import migrations

PROVIDERS = [
    ("gemini", "gemini", "GEMINI_API_KEY"),
    ("openai", "openai_compatible", "OPENAI_API_KEY"),
]

# model id, label, context window, maximum output, and what differs from the defaults
MODELS = [
    ("gemini:gemini-2.5-flash", "Gemini 2.5 Flash", 1_048_576, 65_536, {"thinking": True}),
    ("gemini:gemini-2.5-flash-lite", "Gemini 2.5 Flash-Lite", 1_048_576, 65_536, {}),
    ("gemini:gemini-2.5-pro", "Gemini 2.5 Pro", 1_048_576, 65_536, {"thinking": True}),
    ("gemini:gemini-3-flash-preview", "Gemini 3 Flash", 1_048_576, 65_536, {"thinking": True}),
    ("gemini:gemini-3.1-pro-preview", "Gemini 3.1 Pro", 1_048_576, 65_536, {"thinking": True}),
    ("openai:gpt-5", "GPT-5", 400_000, 128_000, {"thinking": True, "default_temperature": None}),
    ("openai:gpt-5-mini", "GPT-5 mini", 400_000, 128_000, {"thinking": True, "default_temperature": None}),
    # Answers through the Responses API only; an admin enables it once that is spoken.
    (
        "openai:gpt-5-codex",
        "GPT-5-Codex",
        400_000,
        128_000,
        {"thinking": True, "default_temperature": None, "enabled": False},
    ),
    ("openai:gpt-4.1-mini", "GPT-4.1 mini", 1_047_576, 32_768, {}),
    ("openai:gpt-4o", "GPT-4o", 128_000, 16_384, {}),
    ("openai:gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, {}),
]


def add_known_models(apps, schema_editor):
    Provider = apps.get_model("llm", "Provider")
    ModelProfile = apps.get_model("llm", "ModelProfile")
    providers = {
        name: Provider.objects.get_or_create(name=name, defaults={"kind": kind, "api_key_env": key})[0]
        for name, kind, key in PROVIDERS
    }
    for position, (model_id, label, context, output, differs) in enumerate(MODELS, start=1):
        provider = providers[model_id.partition(":")[0]]
        fields = {
            "provider": provider,
            "label": label,
            "context_window_tokens": context,
            "max_output_tokens": output,
            "position": position * 10,
        }
        if differs.get("thinking"):
            # The cap holds thoughts and answer together.
            fields["minimum_output_tokens"] = 1024
        if provider.kind == "openai_compatible":
            # The encoding is OpenAI's own, so the local count is nearly exact.
            fields["max_tokens_parameter"] = "max_completion_tokens"
            fields["estimate_percent"] = 102
        ModelProfile.objects.get_or_create(model_id=model_id, defaults=fields | differs)


class Migration(migrations.Migration):
    dependencies = [("llm", "0001_initial")]

    operations = [migrations.RunPython(add_known_models, migrations.RunPython.noop, elidable=False)]
