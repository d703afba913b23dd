"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from conversations import (
    account_pages,
    availability,
    context_page,
    message_views,
    pages,
    password_pages,
    plain_send,
    thread_views,
)
from conversations.usage import pages as usage_pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("login/", pages.SignIn.as_view(), name="login"),
    path("logout/", pages.SignOut.as_view(), name="logout"),
    path("signup/", pages.sign_up, name="signup"),
    path("password/forgotten/", password_pages.Forgotten.as_view(), name="forgotten"),
    path("password/forgotten/sent/", password_pages.link_sent, name="password_link_sent"),
    path("password/new/<uidb64>/<token>/", password_pages.NewPassword.as_view(), name="new_password"),
    path("account/", account_pages.account, name="account"),
    path("account/password/", account_pages.change_password, name="change_password"),
    path("account/address/", account_pages.change_address, name="change_address"),
    path("account/keys/", account_pages.make_key, name="make_key"),
    path("account/keys/<uuid:key_id>/revoke/", account_pages.revoke_key, name="revoke_key"),
    path("preferences/", pages.set_preferences, name="set_preferences"),
    path("search/", pages.search_conversations, name="search_conversations"),
    path("models/", availability.availability, name="availability"),
    path("ask/", plain_send.send_plainly, name="send_plainly"),
    path("new/", pages.create_conversation, name="new_conversation"),
    path("usage/", usage_pages.usage, name="usage"),
    path("usage/entries/", usage_pages.entries, name="usage_entries"),
    path("usage/entries/<uuid:entry_id>/", usage_pages.entry, name="usage_entry"),
    path("usage/limits/", usage_pages.set_limit, name="set_limit"),
    path("usage/limits/<int:budget_id>/remove/", usage_pages.remove_limit, name="remove_limit"),
    path("usage/budgets/<int:budget_id>/ask/", usage_pages.ask_for_more, name="ask_for_more"),
    path("usage/requests/<int:request_id>/withdraw/", usage_pages.withdraw_request, name="withdraw_request"),
    path("usage/zone/", usage_pages.set_zone, name="set_zone"),
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
    path(
        "c/<uuid:conversation_id>/export.html",
        pages.export_conversation,
        {"extension": "html"},
        name="export_html",
    ),
    path("c/<uuid:conversation_id>/print/", pages.print_conversation, name="print_conversation"),
    path("c/<uuid:conversation_id>/model/", pages.choose_model, name="choose_model"),
    path("c/<uuid:conversation_id>/answers/<uuid:generation_id>.md", pages.answer_text, name="answer_text"),
    path(
        "c/<uuid:conversation_id>/answers/<uuid:generation_id>/choose/",
        thread_views.choose_version,
        name="choose_version",
    ),
    path(
        "c/<uuid:conversation_id>/answers/<uuid:generation_id>/feedback/",
        message_views.judge_answer,
        name="judge_answer",
    ),
    path(
        "c/<uuid:conversation_id>/turns/<uuid:turn_id>/delete/",
        message_views.delete_turn,
        name="delete_turn",
    ),
    path(
        "c/<uuid:conversation_id>/turns/<uuid:turn_id>/price/",
        message_views.version_price,
        name="version_price",
    ),
    path(
        "c/<uuid:conversation_id>/turns/<uuid:turn_id>/go-on/",
        plain_send.redirect_plainly,
        name="redirect_plainly",
    ),
    path("c/<uuid:conversation_id>/context/", context_page.context_page, name="context_page"),
    path("c/<uuid:conversation_id>/preview/", thread_views.preview, name="preview"),
    path("c/<uuid:conversation_id>/turns/", thread_views.older_turns, name="older_turns"),
    path("c/<uuid:conversation_id>/turns/newer/", thread_views.newer_turns, name="newer_turns"),
    path("c/<uuid:conversation_id>/turns/outline/", thread_views.outline, name="outline"),
    path("c/<uuid:conversation_id>/turns/<uuid:turn_id>/", thread_views.one_turn, name="one_turn"),
    path(
        "c/<uuid:conversation_id>/turns/<uuid:turn_id>/choose/",
        thread_views.choose_branch,
        name="choose_branch",
    ),
]
