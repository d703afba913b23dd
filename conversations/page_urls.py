"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from conversations import pages, plain_send, thread_views

urlpatterns = [
    path("", pages.home, name="home"),
    path("login/", pages.SignIn.as_view(), name="login"),
    path("logout/", pages.SignOut.as_view(), name="logout"),
    path("signup/", pages.sign_up, name="signup"),
    path("search/", pages.search_conversations, name="search_conversations"),
    path("ask/", plain_send.send_plainly, name="send_plainly"),
    path("new/", pages.create_conversation, name="new_conversation"),
    path("c/<uuid:conversation_id>/", pages.conversation, name="conversation"),
    path(
        "c/<uuid:conversation_id>/export.md",
        pages.export_conversation,
        {"extension": "md"},
        name="export_markdown",
    ),
    path(
        "c/<uuid:conversation_id>/export.json",
        pages.export_conversation,
        {"extension": "json"},
        name="export_json",
    ),
    path("c/<uuid:conversation_id>/model/", pages.choose_model, name="choose_model"),
    path("c/<uuid:conversation_id>/answers/<uuid:generation_id>.md", pages.answer_text, name="answer_text"),
    path(
        "c/<uuid:conversation_id>/answers/<uuid:generation_id>/choose/",
        thread_views.choose_version,
        name="choose_version",
    ),
    path("c/<uuid:conversation_id>/preview/", thread_views.preview, name="preview"),
    path("c/<uuid:conversation_id>/turns/", thread_views.older_turns, name="older_turns"),
    path("c/<uuid:conversation_id>/turns/<uuid:turn_id>/", thread_views.one_turn, name="one_turn"),
    path(
        "c/<uuid:conversation_id>/turns/<uuid:turn_id>/choose/",
        thread_views.choose_branch,
        name="choose_branch",
    ),
]
