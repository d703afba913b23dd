"""Addresses of the site."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import include, path, re_path

from conversations.api.base import UnknownPath
from conversations.forms import AdminSignInForm

admin.site.login_form = AdminSignInForm
admin.site.site_header = admin.site.site_title = "Chatsite administration"
admin.site.index_title = "Administration"
admin.site.site_url = "/"


def favicon(request: HttpRequest) -> HttpResponse:
    """Where browsers look by themselves: the admin's pages, errors and downloads name no icon."""
    response = HttpResponseRedirect(static("img/mark.svg"))
    response["Cache-Control"] = "public, max-age=86400"
    return response


urlpatterns = [
    path("favicon.ico", favicon),
    path("admin/", admin.site.urls),
    path("api/v1/", include("conversations.api.urls")),
    re_path(r"^api/", UnknownPath.as_view()),
    path("", include("conversations.page_urls")),
]
