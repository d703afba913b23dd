from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save


class LLMConfig(AppConfig):
    name = "llm"
    verbose_name = "Models"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from llm import checks, profiles  # noqa: F401 - importing registers the checks

        for model in self.get_models():
            for signal in (post_save, post_delete):
                signal.connect(_forget_profiles, sender=model)


def _forget_profiles(**kwargs: object) -> None:
    from llm.profiles import clear_cache

    clear_cache()
