"""Addresses of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path

from conversations.api.base import UnknownPath
from conversations.forms import AdminSignInForm

admin.site.login_form = AdminSignInForm
admin.site.site_header = admin.site.site_title = "Chatsite administration"
admin.site.index_title = "Administration"
admin.site.site_url = "/"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("conversations.api.urls")),
    re_path(r"^api/", UnknownPath.as_view()),
    path("", include("conversations.page_urls")),
]
