"""Configuration that an admin edits: providers and the models they offer.

No secret is stored: a provider names the environment variable that holds its key.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from llm.estimate import UNKNOWN_OVERHEAD_TOKENS
from llm.kinds import kind_choices

# Only such variables are ever read and sent to a provider, so that an admin page
# cannot be used to send other secrets of the process to a server of one's choice.
API_KEY_ENV_PATTERN = re.compile(r"[A-Z][A-Z0-9_]*_API_KEY")
PROVIDER_NAME_PATTERN = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def base_url_problem(url: str, allowed_hosts: list[str]) -> str:
    """Why ``url`` may not be called with a key, or "" when it may.

    https to a public name is allowed; anything else only to a listed host.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("http", "https") or not host:
        return "must be an http or https address"
    if parts.username or parts.password:
        return "must not hold a user name or password"
    if host in allowed_hosts:
        return ""
    if parts.scheme != "https":
        return "must be https, or its host be listed in PROVIDER_HOSTS"
    try:
        public = ipaddress.ip_address(host).is_global
    except ValueError:
        public = host != "localhost" and not host.endswith((".localhost", ".local", ".internal"))
    return "" if public else "is a private address; list its host in PROVIDER_HOSTS to allow it"


def validate_base_url(url: str) -> None:
    problem = base_url_problem(url, list(getattr(settings, "PROVIDER_HOSTS", [])))
    if problem:
        raise ValidationError(f"The base URL {problem}.")


class Provider(models.Model):
    name = models.CharField(
        max_length=32,
        unique=True,
        validators=[
            RegexValidator(
                rf"\A{PROVIDER_NAME_PATTERN.pattern}\Z", "Lower-case letters, digits, - and _ only."
            ),
            RegexValidator(r"\Ademo\Z", "This name belongs to the built-in model.", inverse_match=True),
        ],
        help_text="The part of a model id before the colon.",
    )
    kind = models.CharField(max_length=32, choices=kind_choices)
    base_url = models.CharField(
        max_length=500,
        blank=True,
        validators=[validate_base_url],
        help_text="Empty: the setting named like the key's variable, but with _BASE_URL; "
        "where that is empty too, the address of the vendor.",
    )
    api_key_env = models.CharField(
        "API key variable",
        max_length=64,
        blank=True,
        validators=[RegexValidator(rf"\A{API_KEY_ENV_PATTERN.pattern}\Z", "A name that ends in _API_KEY.")],
        help_text="NAME of the environment variable that holds the key, never the key itself. "
        "Empty for a server that takes none.",
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ModelProfileQuerySet(models.QuerySet["ModelProfile"]):
    def configured(self) -> ModelProfileQuerySet:
        """Enabled models of enabled providers, in the order of the picker."""
        return (
            self.filter(enabled=True, provider__enabled=True)
            .select_related("provider")
            .order_by("position", "model_id")
        )


NO_FALLBACKS = "-"


def split_fallbacks(text: str) -> tuple[str, ...]:
    """The model ids of a comma-separated list, each once, in order."""
    ids = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(one for one in ids if one and one != NO_FALLBACKS))


class MaxTokensParameter(models.TextChoices):
    MAX_TOKENS = "max_tokens"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"


class Encoding(models.TextChoices):
    O200K_BASE = "o200k_base"
    CL100K_BASE = "cl100k_base"


class ModelProfile(models.Model):
    """What a model takes, gives and allows."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="models")
    model_id = models.CharField(
        max_length=200, unique=True, help_text="provider:name, the name as the provider writes it."
    )
    label = models.CharField(max_length=100, blank=True)
    context_window_tokens = models.PositiveIntegerField()
    max_output_tokens = models.PositiveIntegerField()
    default_output_tokens = models.PositiveIntegerField(default=4096)
    minimum_output_tokens = models.PositiveIntegerField(
        default=256, help_text="Below this a question is refused rather than answered uselessly short."
    )
    default_temperature = models.FloatField(
        null=True,
        blank=True,
        default=0.7,
        help_text="Empty: the model takes no temperature and none is sent.",
    )
    max_temperature = models.FloatField(
        default=2.0, validators=[MinValueValidator(0.0), MaxValueValidator(5.0)]
    )
    streams = models.BooleanField(default=True, help_text="Off: called once, the answer comes in one piece.")
    thinking = models.BooleanField(default=False, help_text="The model thinks before it answers.")
    max_tokens_parameter = models.CharField(
        max_length=32, choices=MaxTokensParameter.choices, default=MaxTokensParameter.MAX_TOKENS
    )
    encoding = models.CharField(max_length=32, choices=Encoding.choices, default=Encoding.O200K_BASE)
    estimate_percent = models.PositiveSmallIntegerField(
        default=115,
        validators=[MinValueValidator(100), MaxValueValidator(300)],
        help_text="Local token count times this, and the overhead = the input that is held before a call. "
        "Learned from answers.",
    )
    prompt_overhead_tokens = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(1000)],
        help_text="Tokens that the provider adds to every prompt: a prompt of its own, or marks around "
        f"messages. Empty: 0 for Gemini and OpenAI's own servers, {UNKNOWN_OVERHEAD_TOKENS} for all others. "
        "Learned from answers.",
    )
    fallbacks = models.CharField(
        max_length=600,
        blank=True,
        help_text="Models that answer in its place while it cannot, in this order: ids separated by commas. "
        "Empty: those of the setting FALLBACK_MODELS. A dash: none.",
    )
    requests_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="What the provider allows this key; calls are paced to nine tenths of it. Empty: no limit.",
    )
    tokens_per_minute = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The same for tokens: input, and at OpenAI-compatible servers the longest answer too.",
    )
    requests_per_day = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The same for a day of the provider (Google: midnight in California, others: UTC).",
    )
    enabled = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=100, help_text="Order in the picker, lowest first.")

    objects = ModelProfileQuerySet.as_manager()

    class Meta:
        ordering = ["position", "model_id"]
        constraints = [
            models.CheckConstraint(
                name="llm_model_output_tokens_fit",
                violation_error_message="The answer lengths must be 1 <= minimum <= default <= maximum.",
                condition=Q(minimum_output_tokens__gte=1)
                & Q(minimum_output_tokens__lte=F("default_output_tokens"))
                & Q(default_output_tokens__lte=F("max_output_tokens")),
            ),
            models.CheckConstraint(
                name="llm_model_context_not_empty",
                violation_error_message="The context window must hold at least one token.",
                condition=Q(context_window_tokens__gte=1),
            ),
            models.CheckConstraint(
                name="llm_model_estimate_never_low",
                violation_error_message="The estimate must be at least 100 percent of the count.",
                condition=Q(estimate_percent__gte=100),
            ),
        ]

    def __str__(self) -> str:
        return self.model_id

    def clean(self) -> None:
        errors: dict[str, Any] = {}
        provider_name, _, name = self.model_id.partition(":")
        if not name or (self.provider_id is not None and provider_name != self.provider.name):
            errors["model_id"] = "The id must be the provider's name, a colon and the model's name."
        if self.model_id in split_fallbacks(self.fallbacks):
            errors["fallbacks"] = "A model cannot stand in for itself."
        elif any(":" not in model_id for model_id in split_fallbacks(self.fallbacks)):
            errors["fallbacks"] = "Each id is provider:name."
        if self.default_temperature is not None and not 0 <= self.default_temperature <= self.max_temperature:
            errors["default_temperature"] = "Between 0 and the model's highest temperature."
        if errors:
            raise ValidationError(errors)
