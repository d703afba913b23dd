from __future__ import annotations

from billing.admin import ledger, prices, requests, rules

__all__ = ["ledger", "prices", "requests", "rules"]
