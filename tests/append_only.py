"""Lets the test database be flushed: the ledger's append-only triggers are lifted around it, and only it.

Imported by ``tests/conftest.py``. Django's own flush takes the content types and permissions as well and
makes them anew, which costs ten times as much as the rest: they come from the code, and stay. What data
migrations brought, the shipped plans and the demo models' price, stays as long as no test has changed it.
The triggers stay where nothing was entered: after one was lifted SQLite prepares every statement anew.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection
from django.test import TransactionTestCase

from billing.append_only import lifted
from billing.models import LedgerEntry, Plan, PlanBudget, Posting, PriceVersion

KEPT = {"django_content_type", "auth_permission"}
SHIPPED = (Plan, PlanBudget, PriceVersion)

_as_shipped: list[list[tuple[Any, ...]]] = []


def flush(case: Any) -> None:
    """Instead of Django's for the one database of the suite, after a test with transactions of its own."""
    assert case.available_apps is None, "only some tables are there"
    whole = not _as_shipped or _shipped() != _as_shipped
    kept = KEPT if whole else KEPT | {model._meta.db_table for model in SHIPPED}
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    emptied = [table for table in tables if table not in kept]
    entered = LedgerEntry.objects.exists() or Posting.objects.exists()
    with lifted() if entered or connection.vendor != "sqlite" else contextlib.nullcontext():
        connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), emptied))
    if whole:
        importlib.import_module("billing.migrations.0003_ship_plans").ship(apps, None)
        importlib.import_module("billing.migrations.0005_price_the_demo_models").ship(apps, None)
        _as_shipped[:] = _shipped()


def _shipped() -> list[list[tuple[Any, ...]]]:
    return [list(model._default_manager.order_by("pk").values_list()) for model in SHIPPED]


TransactionTestCase._fixture_teardown = flush  # type: ignore[attr-defined]  # django-stubs leaves it out
