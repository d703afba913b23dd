from __future__ import annotations

from billing.admin import budgets, ledger, plans, prices, requests

__all__ = ["budgets", "ledger", "plans", "prices", "requests"]
