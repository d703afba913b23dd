"""Pages that name no icon: browsers ask for one by themselves."""

from __future__ import annotations

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.test import Client, RequestFactory


def test_it_is_found_where_browsers_look() -> None:
    response = Client().get("/favicon.ico")
    assert (response.status_code, response["Location"]) == (302, static("img/mark.svg"))
    assert "max-age" in response["Cache-Control"]
    assert finders.find("img/mark.svg")


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500", "base", "api/docs"])
def test_our_own_pages_name_it(name: str) -> None:
    page = render_to_string(f"{name}.html", request=RequestFactory().get("/"))
    assert f'rel="icon" href="{static("img/mark.svg")}"' in page
