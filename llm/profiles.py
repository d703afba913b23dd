"""The configured models as plain values: ``get_profile``, ``list_profiles``.

Synchronous and cheap: rows are kept for a few seconds per process and dropped
whenever a row is saved here. Call it where database access is allowed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from llm.demo_names import DEMO_OFFERED, parse_demo_name
from llm.errors import UnknownModel
from llm.estimate import UNKNOWN_OVERHEAD_TOKENS, InputEstimate
from llm.models import API_KEY_ENV_PATTERN, ModelProfile, Provider, split_fallbacks

CACHE_SECONDS = 5.0
OPENAI_HOST = "api.openai.com"
USUAL_ENCODING = "o200k_base"


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """Where a model is called. ``api_key_env`` is the name of a variable, never a key."""

    name: str
    kind: str
    base_url: str = ""
    api_key_env: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A model: what it takes, gives and allows."""

    model_id: str
    name: str  # as the provider writes it
    label: str
    provider: ProviderConfig
    context_window_tokens: int
    max_output_tokens: int
    default_output_tokens: int = 4096
    minimum_output_tokens: int = 256
    default_temperature: float | None = 0.7  # None: never sent
    max_temperature: float = 2.0
    streams: bool = True
    thinking: bool = False
    max_tokens_parameter: str = "max_tokens"
    encoding: str = USUAL_ENCODING
    estimate_percent: int = 100  # see ``estimate``
    prompt_overhead_tokens: int = 0
    position: int = 100
    fallbacks: tuple[str, ...] = ()  # model ids that may answer in its place, in order
    requests_per_minute: int | None = None  # what the provider allows; None: no limit is known
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    usable: bool = True  # the provider's key or address is set

    @property
    def takes_temperature(self) -> bool:
        return self.default_temperature is not None

    @property
    def estimate(self) -> InputEstimate:
        """How much more than we the provider may count."""
        return InputEstimate(self.estimate_percent, self.prompt_overhead_tokens)


class UnknownProvider(LookupError):
    """No provider of that name is configured."""


# Rows only: whether a key is set is looked up at every call.
_cache: tuple[float, tuple[ModelProfile, ...]] | None = None


def clear_cache() -> None:
    global _cache
    _cache = None


def get_profile(model_id: str) -> Profile:
    """The profile of a model id; raises UnknownModel. See ``usable`` before calling it."""
    provider_name, _, name = model_id.partition(":")
    if provider_name == "demo":
        if parse_demo_name(name) is not None and demo_offered():
            return demo_profile(name)
        raise UnknownModel(model_id)
    for row in _rows():
        if row.model_id == model_id:
            return _from_row(row)
    raise UnknownModel(model_id)


def encoding_of(model_id: str) -> str:
    """The encoding that counts the tokens of a model; of one that is gone, the usual one."""
    try:
        return get_profile(model_id).encoding
    except UnknownModel:
        return USUAL_ENCODING


def list_profiles() -> tuple[Profile, ...]:
    """What the picker offers: models that can be called now, in their order."""
    usable = tuple(profile for profile in _configured() if profile.usable)
    if settings.DEMO_MODEL or not usable:
        usable += tuple(demo_profile(name) for name in DEMO_OFFERED)
    return usable


def default_model_id() -> str:
    """``DEFAULT_MODEL`` where it can be called, else the first that can."""
    if settings.DEFAULT_MODEL:
        try:
            profile = get_profile(settings.DEFAULT_MODEL)
        except UnknownModel:
            pass
        else:
            if profile.usable:
                return profile.model_id
    return list_profiles()[0].model_id


def demo_offered() -> bool:
    return bool(settings.DEMO_MODEL) or not any(profile.usable for profile in _configured())


def demo_profile(name: str) -> Profile:
    return Profile(
        model_id=f"demo:{name}",
        name=name,
        label=DEMO_OFFERED.get(name, f"Demo {name}"),
        provider=ProviderConfig(name="demo", kind="demo"),
        context_window_tokens=128_000,
        max_output_tokens=32_768,
        thinking="!think" in name,
        position=1000,
        fallbacks=_default_fallbacks(f"demo:{name}"),
    )


def read_api_key(name: str) -> str:
    """The key in the setting or environment variable ``name`` (or the file of NAME_FILE), or ""."""
    if not API_KEY_ENV_PATTERN.fullmatch(name):
        return ""
    key = getattr(settings, name, "") or os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE", "")
    if not key and path:
        try:
            key = Path(path).read_text(encoding="utf-8")
        except OSError:
            return ""
    return str(key).strip()


def add_model(
    *,
    model_id: str,
    context_window_tokens: int,
    max_output_tokens: int,
    label: str | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    requests_per_day: int | None = None,
) -> ModelProfile:
    """Add a model of a configured provider, or change its limits; what is None stays as it is.

    Raises UnknownProvider, and ValidationError for an id or limits that make no sense.
    """
    provider_name, _, _ = model_id.partition(":")
    provider = Provider.objects.filter(name=provider_name).first()
    if provider is None:
        known = ", ".join(Provider.objects.values_list("name", flat=True)) or "none"
        raise UnknownProvider(f"There is no provider {provider_name!r}; known are: {known}.")
    with transaction.atomic():
        row = ModelProfile.objects.select_for_update().filter(model_id=model_id).first()
        if row is None:
            row = ModelProfile(provider=provider, model_id=model_id)
        row.context_window_tokens = context_window_tokens
        row.max_output_tokens = max_output_tokens
        row.default_output_tokens = min(row.default_output_tokens, max_output_tokens)
        row.minimum_output_tokens = min(row.minimum_output_tokens, row.default_output_tokens)
        row.enabled = True
        if label is not None:
            row.label = label
        if requests_per_minute is not None:
            row.requests_per_minute = requests_per_minute
        if tokens_per_minute is not None:
            row.tokens_per_minute = tokens_per_minute
        if requests_per_day is not None:
            row.requests_per_day = requests_per_day
        row.full_clean()
        row.save()
    return row


def _rows() -> tuple[ModelProfile, ...]:
    global _cache
    now = time.monotonic()
    if _cache is None or now - _cache[0] > CACHE_SECONDS:
        _cache = (now, tuple(ModelProfile.objects.configured()))
    return _cache[1]


def _configured() -> tuple[Profile, ...]:
    return tuple(_from_row(row) for row in _rows())


def _from_row(row: ModelProfile) -> Profile:
    provider = row.provider
    base_url = provider.base_url or _base_url_setting(provider.api_key_env)
    config = ProviderConfig(provider.name, provider.kind, base_url, provider.api_key_env)
    return Profile(
        model_id=row.model_id,
        name=row.model_id.partition(":")[2],
        label=row.label or row.model_id,
        provider=config,
        context_window_tokens=row.context_window_tokens,
        max_output_tokens=row.max_output_tokens,
        default_output_tokens=row.default_output_tokens,
        minimum_output_tokens=row.minimum_output_tokens,
        default_temperature=row.default_temperature,
        max_temperature=row.max_temperature,
        streams=row.streams,
        thinking=row.thinking,
        max_tokens_parameter=row.max_tokens_parameter,
        encoding=row.encoding,
        estimate_percent=row.estimate_percent,
        prompt_overhead_tokens=(
            _start_overhead_tokens(config)
            if row.prompt_overhead_tokens is None
            else row.prompt_overhead_tokens
        ),
        position=row.position,
        fallbacks=split_fallbacks(row.fallbacks) if row.fallbacks else _default_fallbacks(row.model_id),
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        requests_per_day=row.requests_per_day,
        usable=_usable(config),
    )


def _start_overhead_tokens(config: ProviderConfig) -> int:
    """What the provider may add to a prompt, as long as its answers have not told."""
    host = urlsplit(config.base_url).hostname
    if config.kind == "gemini" or (config.kind == "openai_compatible" and host in (None, OPENAI_HOST)):
        return 0
    return UNKNOWN_OVERHEAD_TOKENS


def _default_fallbacks(model_id: str) -> tuple[str, ...]:
    return tuple(other for other in settings.FALLBACK_MODELS if other != model_id)


def _usable(config: ProviderConfig) -> bool:
    if config.kind == "openai_compatible" and config.base_url:
        return True  # a server of one's own may need no key
    return bool(read_api_key(config.api_key_env))


def _base_url_setting(api_key_env: str) -> str:
    if not API_KEY_ENV_PATTERN.fullmatch(api_key_env):
        return ""
    name = api_key_env.removesuffix("_API_KEY") + "_BASE_URL"
    return str(getattr(settings, name, "") or os.environ.get(name, ""))
