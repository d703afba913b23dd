"""Lists of what belongs to budgets: whose they are by name, amounts in tokens and dollars."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from billing.admin.people import NamesPeople, names_of
from billing.amounts import amount_words
from billing.models import BillingGroup, Bucket, Budget, ScopeKind

_OF_PEOPLE = (ScopeKind.USER, ScopeKind.OWN)


def scope_words(budget: Budget, names: dict[tuple[str, str], str]) -> str:
    """Whom a budget limits. ``names``: by kind and id of the scope; without one stands its number."""
    name = names.get((budget.scope_kind, budget.scope_id))
    if budget.scope_kind in _OF_PEOPLE:
        own = " (own limit)" if budget.scope_kind == ScopeKind.OWN else ""
        return f"{name or f'user {budget.scope_id}'}{own}"
    return f"{budget.get_scope_kind_display()} {name or budget.scope_id}".strip()


def scope_names(budgets: list[Budget]) -> dict[tuple[str, str], str]:
    """Two queries, whatever there is to name."""
    people = names_of(int(one.scope_id) for one in budgets if one.scope_kind in _OF_PEOPLE)
    numbers = [int(one.scope_id) for one in budgets if one.scope_kind == ScopeKind.GROUP]
    groups = BillingGroup.objects.filter(pk__in=numbers).values_list("pk", "name")
    found = {(ScopeKind.GROUP.value, str(number)): name for number, name in groups}
    for kind in _OF_PEOPLE:
        found |= {(kind.value, str(number)): name for number, name in people.items()}
    return found


class NamesScopes(NamesPeople):
    """A list with the column ``person`` that says whom the budget of a row limits."""

    def budget_of(self, row: Any) -> Budget:
        budget: Budget = row.budget
        return budget

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super(NamesPeople, self).get_changelist_instance(request)
        names = scope_names([self.budget_of(row) for row in page.result_list])
        for row in page.result_list:
            row.person_name = scope_words(self.budget_of(row), names)
        return page

    @admin.display(description="limits")
    def person(self, row: Any) -> str:
        budget = self.budget_of(row)
        return getattr(row, "person_name", None) or scope_words(budget, scope_names([budget]))


def bucket_amount(bucket: Bucket, units: int | None) -> str:
    return amount_words(bucket.unit, units)
