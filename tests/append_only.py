"""Lets the test database be flushed: the ledger's append-only triggers are lifted around it, and only it.

Imported by ``tests/conftest.py``. The flush also takes what data migrations brought, so the shipped
plans and the demo models' price are put back.
"""

from __future__ import annotations

import importlib
from typing import Any

from django.apps import apps
from django.test import TransactionTestCase

from billing.append_only import lifted
from billing.models import Plan

_flush = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]  # django-stubs leaves it out


def _flush_with_ledger_open(self: Any) -> None:
    with lifted():
        _flush(self)
    if not Plan.objects.exists():
        importlib.import_module("billing.migrations.0003_ship_plans").ship(apps, None)
        importlib.import_module("billing.migrations.0005_price_the_demo_models").ship(apps, None)


TransactionTestCase._fixture_teardown = _flush_with_ledger_open  # type: ignore[attr-defined]
