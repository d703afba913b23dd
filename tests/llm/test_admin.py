from __future__ import annotations

import pytest
from django.contrib.admin.sites import AdminSite
from pytest_django import Settings

from llm.admin import ProviderAdmin
from llm.models import ModelProfile, Provider


def test_it_shows_whether_a_key_is_set_and_never_the_key(settings: Settings) -> None:
    settings.GEMINI_API_KEY = "secret-key-0123456789"
    page = ProviderAdmin(Provider, AdminSite())
    assert page.key_is_set(Provider(name="gemini", api_key_env="GEMINI_API_KEY")) is True
    assert page.key_is_set(Provider(name="other", api_key_env="OTHER_API_KEY")) is False


@pytest.mark.parametrize("model", [Provider, ModelProfile])
def test_it_has_no_column_for_a_secret(model: type[Provider] | type[ModelProfile]) -> None:
    names = {field.name for field in model._meta.get_fields()}
    assert not {name for name in names if "secret" in name or name in ("api_key", "key", "token")}
