"""Addresses below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path, re_path

from conversations.api.base import UnknownPath
from conversations.api.context_views import ContextView, SummaryStopView, SummaryView
from conversations.api.conversation_views import (
    ConversationsView,
    ConversationView,
    ExportView,
    StatusView,
)
from conversations.api.docs_views import DocsView, SchemaView, SocketSchemaView
from conversations.api.message_views import MessagesView
from conversations.api.model_views import ModelsView
from conversations.api.token_views import RefreshView, TokenView
from conversations.api.turn_views import (
    ContinueView,
    EditView,
    RegenerateView,
    RetryView,
    ScheduleView,
    StopView,
    SwitchView,
)
from conversations.api.usage_export import UsageExportView
from conversations.api.usage_views import BudgetsView, EntriesView, UsageSummaryView, UsageView

CONVERSATION = "conversations/<uuid:conversation_id>/"
TURN = "turns/<uuid:turn_id>/"

urlpatterns = [
    path("conversations/", ConversationsView.as_view(), name="api-conversations"),
    path(CONVERSATION, ConversationView.as_view(), name="api-conversation"),
    path(f"{CONVERSATION}context/", ContextView.as_view(), name="api-context"),
    path(f"{CONVERSATION}summary/", SummaryView.as_view(), name="api-summary"),
    path(f"{CONVERSATION}summary/stop/", SummaryStopView.as_view(), name="api-summary-stop"),
    path(f"{CONVERSATION}status/", StatusView.as_view(), name="api-status"),
    path(f"{CONVERSATION}export/", ExportView.as_view(), name="api-export"),
    path(f"{CONVERSATION}messages/", MessagesView.as_view(), name="api-messages"),
    path(f"{TURN}stop/", StopView.as_view(), name="api-stop"),
    path(f"{TURN}switch/", SwitchView.as_view(), name="api-switch"),
    path(f"{TURN}schedule/", ScheduleView.as_view(), name="api-schedule"),
    path(f"{TURN}retry/", RetryView.as_view(), name="api-retry"),
    path(f"{TURN}continue/", ContinueView.as_view(), name="api-continue"),
    path(f"{TURN}regenerate/", RegenerateView.as_view(), name="api-regenerate"),
    path(f"{TURN}edit/", EditView.as_view(), name="api-edit"),
    path("models/", ModelsView.as_view(), name="api-models"),
    path("usage/", UsageView.as_view(), name="api-usage"),
    path("usage/summary/", UsageSummaryView.as_view(), name="api-usage-summary"),
    path("usage/entries/", EntriesView.as_view(), name="api-usage-entries"),
    path("usage/export.csv", UsageExportView.as_view(), name="api-usage-export"),
    path("budgets/", BudgetsView.as_view(), name="api-budgets"),
    path("auth/token/", TokenView.as_view(), name="api-token"),
    path("auth/token/refresh/", RefreshView.as_view(), name="api-token-refresh"),
    path("schema/", SchemaView.as_view(), name="api-schema"),
    path("schema/socket/", SocketSchemaView.as_view(), name="api-socket-schema"),
    path("docs/", DocsView.as_view(), name="api-docs"),
    re_path(r"", UnknownPath.as_view()),
]
