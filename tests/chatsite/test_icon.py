"""Pages that name no icon: browsers ask for one by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.test import Client

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def test_it_is_found_where_browsers_look() -> None:
    response = Client().get("/favicon.ico")
    assert (response.status_code, response["Location"]) == (302, static("img/mark.svg"))
    assert "max-age" in response["Cache-Control"]
    assert finders.find("img/mark.svg")


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500", "base", "api/docs"])
def test_our_own_pages_name_it(name: str) -> None:
    page = (TEMPLATES / f"{name}.html").read_text(encoding="utf-8")
    assert "{% static 'img/mark.svg' %}" in page
