"""Addresses below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path, re_path

from conversations.api.base import UnknownPath
from conversations.api.branch_views import ChooseGenerationView, ChooseTurnView, TurnView
from conversations.api.budget_views import BudgetsView, BudgetView
from conversations.api.context_views import ContextView, SummaryStopView, SummaryView
from conversations.api.conversation_views import (
    ConversationsView,
    ConversationView,
    ExportView,
    StatusView,
)
from conversations.api.docs_views import DocsView, SchemaView, SocketSchemaView
from conversations.api.generation_views import FeedbackView, GenerationView
from conversations.api.limit_request_views import (
    ApproveView,
    DeclineView,
    LimitRequestsView,
    LimitRequestView,
)
from conversations.api.message_views import MessagesView
from conversations.api.model_views import ModelsView
from conversations.api.person_views import PreferencesView, SearchView
from conversations.api.quote_views import SendQuoteView, VersionQuoteView
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
from conversations.api.usage_views import EntriesView, UsageSummaryView, UsageView

CONVERSATION = "conversations/<uuid:conversation_id>/"
TURN = "turns/<uuid:turn_id>/"
GENERATION = "generations/<uuid:generation_id>/"
LIMIT_REQUEST = "limit-requests/<int:request_id>/"

urlpatterns = [
    path("conversations/", ConversationsView.as_view(), name="api-conversations"),
    path(CONVERSATION, ConversationView.as_view(), name="api-conversation"),
    path(f"{CONVERSATION}context/", ContextView.as_view(), name="api-context"),
    path(f"{CONVERSATION}summary/", SummaryView.as_view(), name="api-summary"),
    path(f"{CONVERSATION}summary/stop/", SummaryStopView.as_view(), name="api-summary-stop"),
    path(f"{CONVERSATION}status/", StatusView.as_view(), name="api-status"),
    path(f"{CONVERSATION}export/", ExportView.as_view(), name="api-export"),
    path(f"{CONVERSATION}messages/", MessagesView.as_view(), name="api-messages"),
    path(f"{CONVERSATION}quote/", SendQuoteView.as_view(), name="api-quote"),
    path(TURN, TurnView.as_view(), name="api-turn"),
    path(f"{TURN}choose/", ChooseTurnView.as_view(), name="api-choose-turn"),
    path(f"{TURN}quote/", VersionQuoteView.as_view(), name="api-turn-quote"),
    path(f"{TURN}stop/", StopView.as_view(), name="api-stop"),
    path(f"{TURN}switch/", SwitchView.as_view(), name="api-switch"),
    path(f"{TURN}schedule/", ScheduleView.as_view(), name="api-schedule"),
    path(f"{TURN}retry/", RetryView.as_view(), name="api-retry"),
    path(f"{TURN}continue/", ContinueView.as_view(), name="api-continue"),
    path(f"{TURN}regenerate/", RegenerateView.as_view(), name="api-regenerate"),
    path(f"{TURN}edit/", EditView.as_view(), name="api-edit"),
    path(GENERATION, GenerationView.as_view(), name="api-generation"),
    path(f"{GENERATION}choose/", ChooseGenerationView.as_view(), name="api-choose-generation"),
    path(f"{GENERATION}feedback/", FeedbackView.as_view(), name="api-feedback"),
    path("search/", SearchView.as_view(), name="api-search"),
    path("preferences/", PreferencesView.as_view(), name="api-preferences"),
    path("models/", ModelsView.as_view(), name="api-models"),
    path("usage/", UsageView.as_view(), name="api-usage"),
    path("usage/summary/", UsageSummaryView.as_view(), name="api-usage-summary"),
    path("usage/entries/", EntriesView.as_view(), name="api-usage-entries"),
    path("usage/export.csv", UsageExportView.as_view(), name="api-usage-export"),
    path("budgets/", BudgetsView.as_view(), name="api-budgets"),
    path("budgets/<int:budget_id>/", BudgetView.as_view(), name="api-budget"),
    path("limit-requests/", LimitRequestsView.as_view(), name="api-limit-requests"),
    path(LIMIT_REQUEST, LimitRequestView.as_view(), name="api-limit-request"),
    path(f"{LIMIT_REQUEST}approve/", ApproveView.as_view(), name="api-approve"),
    path(f"{LIMIT_REQUEST}decline/", DeclineView.as_view(), name="api-decline"),
    path("auth/token/", TokenView.as_view(), name="api-token"),
    path("auth/token/refresh/", RefreshView.as_view(), name="api-token-refresh"),
    path("schema/", SchemaView.as_view(), name="api-schema"),
    path("schema/socket/", SocketSchemaView.as_view(), name="api-socket-schema"),
    path("docs/", DocsView.as_view(), name="api-docs"),
    re_path(r"", UnknownPath.as_view()),
]
