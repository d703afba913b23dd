"""Which class speaks to which kind of provider; imported on first use.

A new kind is one module and one line here.
"""

from __future__ import annotations

PROVIDER_CLASSES: dict[str, str] = {
    "demo": "llm.providers.demo.DemoProvider",
    "gemini": "llm.providers.gemini.GeminiProvider",
    "openai_compatible": "llm.providers.openai_compatible.OpenAICompatibleProvider",
}


def kind_choices() -> list[tuple[str, str]]:
    """Kinds that a row may have. The demo model needs no row."""
    return [(kind, kind.replace("_", " ")) for kind in PROVIDER_CLASSES if kind != "demo"]
