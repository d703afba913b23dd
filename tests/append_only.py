"""Lets the test database be flushed: the ledger's append-only triggers are lifted around it, and only it.

Imported by ``tests/conftest.py``. The flush takes what data migrations brought, so the shipped plans and
the demo models' price are put back. Django's own flush also takes the content types and permissions and
makes them anew, which costs ten times as much as the rest: they come from the code, and stay.
"""

from __future__ import annotations

import importlib
from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection
from django.test import TransactionTestCase

from billing.append_only import lifted
from billing.models import Plan

KEPT = {"django_content_type", "auth_permission"}


def flush(case: Any) -> None:
    """Instead of Django's for the one database of the suite, after a test with transactions of its own."""
    assert case.available_apps is None, "only some tables are there"
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    emptied = [table for table in tables if table not in KEPT]
    with lifted():
        connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), emptied))
    if not Plan.objects.exists():
        importlib.import_module("billing.migrations.0003_ship_plans").ship(apps, None)
        importlib.import_module("billing.migrations.0005_price_the_demo_models").ship(apps, None)


TransactionTestCase._fixture_teardown = flush  # type: ignore[attr-defined]  # django-stubs leaves it out
