"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from conversations import pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("login/", pages.SignIn.as_view(), name="login"),
    path("logout/", pages.SignOut.as_view(), name="logout"),
    path("signup/", pages.sign_up, name="signup"),
    path("search/", pages.search_conversations, name="search_conversations"),
    path("new/", pages.create_conversation, name="new_conversation"),
    path("c/<uuid:conversation_id>/", pages.conversation, name="conversation"),
    path("c/<uuid:conversation_id>/model/", pages.choose_model, name="choose_model"),
    path("c/<uuid:conversation_id>/answers/<uuid:generation_id>.md", pages.answer_text, name="answer_text"),
]
