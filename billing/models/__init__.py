from __future__ import annotations

from billing.models.account import Account, BillingGroup, GroupMember
from billing.models.bucket import Bucket, LimitChange
from billing.models.budget import Budget, BudgetEvent, BudgetSource, Period, ScopeKind, Unit
from billing.models.entry import TOKEN_COLUMNS, Bearer, EntryKind, LedgerEntry, Posting
from billing.models.grant import Grant, GrantDraw
from billing.models.hold import MAX_CALL_TOKENS, Hold, HoldLine, HoldState
from billing.models.limit_request import LimitRequest, RequestState
from billing.models.plan import Plan, PlanBudget
from billing.models.price import MAX_PRICE_PICOUSD, PriceVersion
from billing.models.rollup import (
    ROLLED_KINDS,
    SUM_COLUMNS,
    OverrunDayRollup,
    PendingRollup,
    Rollup,
    SiteDayRollup,
    SiteHourRollup,
    UsageRollup,
    UserDayRollup,
    UserMonthRollup,
    UserWeekRollup,
)

__all__ = [
    "MAX_CALL_TOKENS",
    "MAX_PRICE_PICOUSD",
    "ROLLED_KINDS",
    "SUM_COLUMNS",
    "TOKEN_COLUMNS",
    "Account",
    "Bearer",
    "BillingGroup",
    "Bucket",
    "Budget",
    "BudgetEvent",
    "BudgetSource",
    "EntryKind",
    "Grant",
    "GrantDraw",
    "GroupMember",
    "Hold",
    "HoldLine",
    "HoldState",
    "LedgerEntry",
    "LimitChange",
    "LimitRequest",
    "OverrunDayRollup",
    "PendingRollup",
    "Period",
    "Plan",
    "PlanBudget",
    "Posting",
    "PriceVersion",
    "RequestState",
    "Rollup",
    "ScopeKind",
    "SiteDayRollup",
    "SiteHourRollup",
    "Unit",
    "UsageRollup",
    "UserDayRollup",
    "UserMonthRollup",
    "UserWeekRollup",
]
