"""Budgets and what is granted on top of them. Every change goes through its verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from billing import budgets, grants
from billing.admin.amounts import UNITS, AmountField, show_amount, take_amount
from billing.admin.people import number_of, numbers_like
from billing.admin.percents import PercentsField
from billing.admin.scopes import NamesScopes
from billing.amounts import amount_words
from billing.errors import InvalidAmount
from billing.models import (
    BillingGroup,
    Budget,
    Grant,
    ScopeKind,
)

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
    _BudgetForm = forms.ModelForm[Budget]
    _GrantForm = forms.ModelForm[Grant]
else:
    _ModelAdmin = admin.ModelAdmin
    _BudgetForm = _GrantForm = forms.ModelForm

HARD_HELP = "Refuses what would go over it. Not ticked: only warns."

_REST = ["hard", "timezone", "thresholds"]
_KEY_FIELDS = ["scope_kind", "scope_id", "model", "unit", "period"]


class BudgetForm(_BudgetForm):
    scope_id = forms.CharField(
        label="Name",
        max_length=150,
        required=False,
        help_text="The person's or the group's name, or a conversation's id; empty for everyone together.",
    )
    unit = forms.ChoiceField(choices=UNITS)
    limit_units = AmountField()
    thresholds = PercentsField()

    class Meta:
        model = Budget
        fields = ["scope_kind", "scope_id", "unit", "limit_units", "period", "model", *_REST]
        labels = {
            "scope_kind": "Limits",
            "timezone": "Time zone",
        }
        help_texts = {
            "model": "Such as openai:gpt-4o-mini; empty: all models together.",
            "hard": HARD_HELP,
            "timezone": "Where its days begin.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_amount(self, "limit_units", self.instance.unit)

    def _get_validation_exclusions(self) -> set[str]:
        """A budget with this key is not an error but the one to be set; the verb checks the rest."""
        return {*super()._get_validation_exclusions(), *_KEY_FIELDS}  # type: ignore[misc]  # private in Django

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        take_amount(self, cleaned, "limit_units", self.instance.unit)
        if self.errors:
            return cleaned
        if "scope_id" in cleaned:
            cleaned["scope_id"] = _number(cleaned["scope_kind"], cleaned["scope_id"])
        try:
            budgets.check_budget(**_arguments({**_key_of(self.instance), **cleaned}))
        except InvalidAmount as error:
            raise forms.ValidationError(str(error)) from None
        return cleaned


def _number(scope: str, name: str) -> str:
    """Of the person or the group with this name; anything else as it is, for the verb to judge."""
    if not name or name.isdigit():
        return name
    if scope in (ScopeKind.USER, ScopeKind.OWN):
        return str(number_of(name))
    if scope == ScopeKind.GROUP:
        found = BillingGroup.objects.filter(name=name).first()
        if found is None:
            raise forms.ValidationError(f"There is no billing group {name!r}.")
        return str(found.pk)
    return name


def _key_of(budget: Budget) -> dict[str, Any]:
    return {name: getattr(budget, name) for name in _KEY_FIELDS} if budget.pk else {}


def _arguments(values: dict[str, Any]) -> dict[str, Any]:
    """The form's values as ``set_budget`` takes them."""
    scope_id: Any = values["scope_id"] or None
    if values["scope_kind"] in (ScopeKind.USER, ScopeKind.OWN, ScopeKind.GROUP) and scope_id:
        if not str(scope_id).isascii() or not str(scope_id).isdigit():
            raise InvalidAmount(f"{scope_id!r} is not the number of a {values['scope_kind']}")
        scope_id = int(scope_id)
    elif values["scope_kind"] == ScopeKind.CONVERSATION and scope_id:
        try:
            scope_id = UUID(scope_id)
        except ValueError:
            raise InvalidAmount(f"{scope_id!r} is not a conversation's id") from None
    return {
        "scope": values["scope_kind"],
        "scope_id": scope_id,
        "model": values["model"],
        "unit": values["unit"],
        "period": values["period"],
        "limit_units": values["limit_units"],
        "hard": values["hard"],
        "thresholds": values["thresholds"],
        "timezone_name": values["timezone"],
    }


class UnitFilter(admin.SimpleListFilter):
    title = "unit"
    parameter_name = "unit"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return UNITS

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        known = dict(UNITS)
        return queryset.filter(unit=self.value()) if self.value() in known else queryset


@admin.register(Budget)
class BudgetAdmin(NamesScopes):
    form = BudgetForm
    list_display = ["person", "limit", "per", "model", "hard", "source", "timezone", "closed"]
    list_filter = ["scope_kind", UnitFilter, "period", "source"]
    search_fields = ["=scope_id"]
    search_help_text = "A person's name or its beginning; a group's number; a conversation's id."
    show_full_result_count = False
    actions = ["close"]

    def budget_of(self, row: Budget) -> Budget:
        return row

    @admin.display(description="to", ordering="limit_units")
    def limit(self, row: Budget) -> str:
        return amount_words(row.unit, row.limit_units)

    @admin.display(description="per", ordering="period")
    def per(self, row: Budget) -> str:
        return row.get_period_display()

    @admin.display(description="counts")
    def counts(self, row: Budget) -> str:
        return dict(UNITS)[row.unit]

    @admin.display(description="closed", ordering="valid_to")
    def closed(self, row: Budget) -> str:
        return f"{row.valid_to:%Y-%m-%d}" if row.valid_to else ""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Budget], search_term: str
    ) -> tuple[QuerySet[Budget], bool]:
        found, doubled = super().get_search_results(request, queryset, search_term)
        if term := search_term.strip():
            numbers = [str(number) for number in numbers_like(term)]
            found |= queryset.filter(
                scope_kind__in=[ScopeKind.USER.value, ScopeKind.OWN.value], scope_id__in=numbers
            )
        return found, doubled

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        key = ["person", "counts", "limit_units", "per"] if obj else list(BudgetForm.Meta.fields[:5])
        return [*key, "model", *_REST]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [*_KEY_FIELDS, "person", "counts", "per"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        values = {name: getattr(obj, name) for name in [*_KEY_FIELDS, "limit_units", *_REST]}
        obj.pk = budgets.set_budget(**_arguments(values)).pk
        obj.refresh_from_db()

    @admin.action(description="Close the selected budgets", permissions=["change"])
    def close(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        for budget in queryset:
            budgets.close_budget(budget)
        self.message_user(request, "Closed. What a plan brings has come back.", messages.SUCCESS)


class GrantForm(_GrantForm):
    granted_units = AmountField(label="How much", required=True, help_text="Tokens or US dollars.")

    class Meta:
        model = Grant
        fields = ["budget", "granted_units", "expires_at", "priority"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        budget = cleaned.get("budget")
        return take_amount(self, cleaned, "granted_units", budget.unit) if budget else cleaned


@admin.register(Grant)
class GrantAdmin(_ModelAdmin):
    form = GrantForm
    list_display = ["created_at", "budget", "granted", "remaining", "expires_at"]
    list_select_related = ["budget"]
    fields = ["budget", "granted_units", "expires_at", "priority"]
    raw_id_fields = ["budget"]
    show_full_result_count = False

    @admin.display(description="granted")
    def granted(self, row: Grant) -> str:
        return amount_words(row.budget.unit, row.granted_units)

    @admin.display(description="remaining")
    def remaining(self, row: Grant) -> str:
        return amount_words(row.budget.unit, row.remaining_units)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:
        made = grants.grant_units(
            budget=obj.budget,
            units=obj.granted_units,
            key=str(uuid4()),
            expires_at=obj.expires_at,
            priority=obj.priority,
            reason="granted in the admin",
            actor_id=request.user.pk,
        )
        obj.pk = made.pk
        obj.refresh_from_db()
