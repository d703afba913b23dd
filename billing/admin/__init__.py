from __future__ import annotations

from billing.admin import ledger, prices, rules

__all__ = ["ledger", "prices", "rules"]
