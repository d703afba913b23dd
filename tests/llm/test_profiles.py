from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries, Settings

from llm import profiles
from llm.errors import UnknownModel
from llm.estimate import UNKNOWN_OVERHEAD_TOKENS, InputEstimate
from llm.models import ModelProfile, Provider, base_url_problem
from llm.profiles import (
    UnknownProvider,
    add_model,
    default_model_id,
    encoding_of,
    get_profile,
    list_profiles,
    read_api_key,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_keys(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "OPENAI_API_KEY", "GEMINI_BASE_URL", "OPENAI_BASE_URL", "DEFAULT_MODEL"):
        setattr(settings, name, "")
        monkeypatch.delenv(name, raising=False)
    settings.DEMO_MODEL = False
    Provider.objects.all().delete()
    gemini = Provider.objects.create(name="gemini", kind="gemini", api_key_env="GEMINI_API_KEY")
    openai = Provider.objects.create(name="openai", kind="openai_compatible", api_key_env="OPENAI_API_KEY")
    make(openai, "openai:gpt-5", default_temperature=None, position=5)
    make(gemini, "gemini:flash", position=1)


def make(provider: Provider, model_id: str, **fields: Any) -> ModelProfile:
    return ModelProfile.objects.create(
        provider=provider,
        model_id=model_id,
        **{"context_window_tokens": 128_000, "max_output_tokens": 16_000, **fields},
    )


def ids() -> list[str]:
    return [profile.model_id for profile in list_profiles()]


def test_it_offers_the_demo_model_where_no_key_is_set() -> None:
    assert ids() == ["demo:friendly", "demo:500-200-20"]
    assert default_model_id() == "demo:friendly"
    assert get_profile("demo:1-2-3!429x2").name == "1-2-3!429x2"


def test_it_offers_what_has_a_key_in_its_order(settings: Settings) -> None:
    settings.OPENAI_API_KEY = settings.GEMINI_API_KEY = "key"
    assert ids() == ["gemini:flash", "openai:gpt-5"]
    assert default_model_id() == "gemini:flash"
    settings.DEMO_MODEL = True
    assert ids()[-2:] == ["demo:friendly", "demo:500-200-20"]


def test_it_takes_the_demo_model_away_once_a_key_is_set(settings: Settings) -> None:
    settings.GEMINI_API_KEY = "key"
    with pytest.raises(UnknownModel):
        get_profile("demo:friendly")


def test_it_counts_for_a_model_that_is_gone(settings: Settings) -> None:
    ModelProfile.objects.filter(model_id="openai:gpt-5").update(encoding="cl100k_base")
    assert encoding_of("openai:gpt-5") == "cl100k_base"
    assert encoding_of("openai:retired") == "o200k_base"


def test_it_needs_no_key_for_a_server_of_ones_own(settings: Settings) -> None:
    settings.OPENAI_BASE_URL = "http://127.0.0.1:11434/v1"
    profile = get_profile("openai:gpt-5")
    assert profile.usable
    assert profile.provider.base_url == "http://127.0.0.1:11434/v1"
    assert ids() == ["openai:gpt-5"]


def test_it_knows_a_model_that_cannot_be_called() -> None:
    profile = get_profile("gemini:flash")
    assert not profile.usable
    assert (profile.name, profile.label, profile.takes_temperature) == ("flash", "gemini:flash", True)
    assert not get_profile("openai:gpt-5").takes_temperature


@pytest.mark.parametrize(
    "model_id", ["", "gemini", "gemini:", "nobody:x", "gemini:flash ", "demo:", "demo:x"]
)
def test_it_tells_an_unknown_model(model_id: str) -> None:
    with pytest.raises(UnknownModel):
        get_profile(model_id)


@pytest.mark.parametrize("field", ["model", "provider"])
def test_it_hides_what_an_admin_disabled(field: str, settings: Settings) -> None:
    settings.GEMINI_API_KEY = "key"
    assert ids() == ["gemini:flash"]
    row = ModelProfile.objects.get(model_id="gemini:flash")
    changed: ModelProfile | Provider = row if field == "model" else row.provider
    changed.enabled = False
    changed.save()
    assert ids() == ["demo:friendly", "demo:500-200-20"]
    with pytest.raises(UnknownModel):
        get_profile("gemini:flash")


def test_it_obeys_the_default_where_it_can_be_called(settings: Settings) -> None:
    settings.GEMINI_API_KEY = settings.OPENAI_API_KEY = "key"
    settings.DEFAULT_MODEL = "openai:gpt-5"
    assert default_model_id() == "openai:gpt-5"
    settings.OPENAI_API_KEY = ""
    assert default_model_id() == "gemini:flash"
    settings.DEFAULT_MODEL = "openai:nonsense"
    assert default_model_id() == "gemini:flash"


def test_it_reads_the_rows_once_in_a_while(
    django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    with django_assert_num_queries(1):
        get_profile("gemini:flash")
        list_profiles()
    monkeypatch.setattr(profiles, "CACHE_SECONDS", -1.0)
    with django_assert_num_queries(1):
        get_profile("gemini:flash")


def test_it_sees_a_change_of_this_process_at_once() -> None:
    assert get_profile("gemini:flash").max_output_tokens == 16_000
    row = ModelProfile.objects.get(model_id="gemini:flash")
    row.max_output_tokens = 8_000
    row.save()
    assert get_profile("gemini:flash").max_output_tokens == 8_000
    row.delete()
    with pytest.raises(UnknownModel):
        get_profile("gemini:flash")


def test_it_reads_keys_from_the_environment_and_from_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert read_api_key("LOCAL_API_KEY") == ""
    path = tmp_path / "key"
    monkeypatch.setenv("LOCAL_API_KEY_FILE", str(path))
    assert read_api_key("LOCAL_API_KEY") == ""
    path.write_text("from-file\n", encoding="utf-8")
    assert read_api_key("LOCAL_API_KEY") == "from-file"
    monkeypatch.setenv("LOCAL_API_KEY", "from-environment")
    assert read_api_key("LOCAL_API_KEY") == "from-environment"


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "", "x_API_KEY", "A_API_KEY\n"])
def test_it_never_reads_another_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name:
        monkeypatch.setenv(name, "secret")
    assert read_api_key(name) == ""
    with pytest.raises(ValidationError):
        Provider(name="evil", kind="openai_compatible", api_key_env=name or "no").full_clean()


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.example.com/v1", True),
        ("https://8.8.8.8/v1", True),
        ("http://api.example.com/v1", False),
        ("https://localhost/v1", False),
        ("https://127.0.0.1/v1", False),
        ("https://10.0.0.8/v1", False),
        ("https://169.254.169.254/", False),
        ("https://[::1]/", False),
        ("https://db.internal/", False),
        ("https://user:password@api.example.com/", False),
        ("ftp://api.example.com/", False),
        ("api.example.com", False),
        ("http://listed:11434/v1", True),
        ("http://10.1.1.1/v1", True),
    ],
)
def test_it_allows_public_addresses_and_listed_hosts(url: str, allowed: bool, settings: Settings) -> None:
    settings.PROVIDER_HOSTS = ["listed", "10.1.1.1"]
    assert (base_url_problem(url, settings.PROVIDER_HOSTS) == "") is allowed
    row = Provider(name="other", kind="openai_compatible", base_url=url)
    if allowed:
        row.full_clean()
    else:
        with pytest.raises(ValidationError, match="base URL"):
            row.full_clean()


@pytest.mark.parametrize("name", ["demo", "Upper", "a:b", "", "1st"])
def test_it_refuses_provider_names_that_ids_cannot_hold(name: str) -> None:
    with pytest.raises(ValidationError):
        Provider(name=name, kind="openai_compatible").full_clean()


def test_it_adds_and_changes_models() -> None:
    row = add_model(
        model_id="openai:new:8b", context_window_tokens=8_192, max_output_tokens=1_000, label="New"
    )
    assert (row.default_output_tokens, row.minimum_output_tokens) == (1_000, 256)
    assert get_profile("openai:new:8b").name == "new:8b"
    row = add_model(model_id="openai:new:8b", context_window_tokens=8_192, max_output_tokens=100)
    assert (row.label, row.max_output_tokens, row.minimum_output_tokens) == ("New", 100, 100)
    assert ModelProfile.objects.filter(model_id="openai:new:8b").count() == 1


def test_it_adds_no_model_of_nobody() -> None:
    with pytest.raises(UnknownProvider, match="known are: gemini, openai"):
        add_model(model_id="nobody:x", context_window_tokens=1, max_output_tokens=1)


@pytest.mark.parametrize(
    ("model_id", "context", "output"), [("openai:", 1, 1), ("openai:x", 0, 1), ("openai:x", 1, 0)]
)
def test_it_adds_no_model_that_makes_no_sense(model_id: str, context: int, output: int) -> None:
    with pytest.raises(ValidationError):
        add_model(model_id=model_id, context_window_tokens=context, max_output_tokens=output)
    assert ModelProfile.objects.count() == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"default_output_tokens": 20_000},
        {"minimum_output_tokens": 5_000},
        {"default_temperature": 3.0},
        {"model_id": "openai:flash"},
    ],
)
def test_it_refuses_limits_that_contradict_each_other(fields: dict[str, Any]) -> None:
    row = ModelProfile.objects.get(model_id="gemini:flash")
    for name, value in fields.items():
        setattr(row, name, value)
    with pytest.raises(ValidationError):
        row.full_clean()


@pytest.mark.parametrize(
    "fields", [{"default_output_tokens": 99_999}, {"context_window_tokens": 0}, {"estimate_percent": 99}]
)
def test_the_database_refuses_them_too(fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelProfile.objects.filter(model_id="gemini:flash").update(**fields)


@pytest.mark.parametrize(
    ("kind", "base_url", "overhead"),
    [
        ("gemini", "", 0),
        ("openai_compatible", "", 0),
        ("openai_compatible", "https://api.openai.com/v1", 0),
        ("openai_compatible", "https://models.example/v1", UNKNOWN_OVERHEAD_TOKENS),
    ],
)
def test_servers_that_are_not_known_may_add_to_a_prompt(kind: str, base_url: str, overhead: int) -> None:
    provider = Provider.objects.create(name="some", kind=kind, base_url=base_url, api_key_env="SOME_API_KEY")
    row = ModelProfile.objects.create(
        provider=provider, model_id="some:model", context_window_tokens=9000, max_output_tokens=4096
    )
    assert get_profile("some:model").estimate == InputEstimate(115, overhead)
    row.prompt_overhead_tokens = 7
    row.save()
    assert get_profile("some:model").estimate == InputEstimate(115, 7)


def test_it_names_its_rows() -> None:
    row = ModelProfile.objects.get(model_id="gemini:flash")
    assert (str(row), str(row.provider)) == ("gemini:flash", "gemini")


def test_it_names_the_models_that_stand_in(settings: Settings) -> None:
    settings.FALLBACK_MODELS = ["openai:gpt-5", "demo:friendly"]
    ModelProfile.objects.filter(model_id="openai:gpt-5").update(fallbacks="gemini:flash, demo:friendly,")
    assert get_profile("gemini:flash").fallbacks == ("openai:gpt-5", "demo:friendly")
    assert get_profile("openai:gpt-5").fallbacks == ("gemini:flash", "demo:friendly")
    ModelProfile.objects.filter(model_id="openai:gpt-5").update(fallbacks="-")
    profiles.clear_cache()
    assert get_profile("openai:gpt-5").fallbacks == ()


def test_no_model_stands_in_for_itself(settings: Settings) -> None:
    settings.FALLBACK_MODELS = ["gemini:flash"]
    row = ModelProfile.objects.get(model_id="gemini:flash")
    assert get_profile("gemini:flash").fallbacks == ()
    row.fallbacks = "openai:gpt-5, gemini:flash"
    with pytest.raises(ValidationError, match="stand in for itself"):
        row.full_clean()
    row.fallbacks = "gpt-5"
    with pytest.raises(ValidationError, match="provider:name"):
        row.full_clean()
