"""What an admin sets: plans, budgets, accounts, groups, grants. Every change goes through its verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from billing import accounts, budgets, grants, plans
from billing.errors import InvalidAmount
from billing.models import Account, BillingGroup, Budget, Grant, GroupMember, Plan, PlanBudget, ScopeKind
from billing.periods import check_timezone

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _BudgetForm = forms.ModelForm[Budget]
    _AccountForm = forms.ModelForm[Account]
else:
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline
    _BudgetForm = _AccountForm = forms.ModelForm


class PlanBudgetInline(_TabularInline):
    model = PlanBudget
    extra = 0


@admin.register(Plan)
class PlanAdmin(_ModelAdmin):
    list_display = ["label", "name", "position"]
    inlines = [PlanBudgetInline]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        count = plans.sync_plan(form.instance)
        self.message_user(request, f"The plan's budgets now hold for its {count} users.")


class AccountForm(_AccountForm):
    class Meta:
        model = Account
        fields = ["user_id", "plan", "timezone"]

    def clean_timezone(self) -> str:
        try:
            return check_timezone(self.cleaned_data["timezone"])
        except InvalidAmount as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(Account)
class AccountAdmin(_ModelAdmin):
    form = AccountForm
    list_display = ["user_id", "plan", "timezone"]
    list_select_related = ["plan"]
    list_filter = ["plan"]
    search_fields = ["=user_id"]
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["user_id"] if obj else []

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        accounts.set_plan(user_id=obj.user_id, plan=obj.plan.name)
        saved = accounts.set_timezone(user_id=obj.user_id, timezone_name=obj.timezone)
        obj.pk = saved.pk
        obj.refresh_from_db()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class GroupMemberInline(_TabularInline):
    model = GroupMember
    extra = 0


@admin.register(BillingGroup)
class BillingGroupAdmin(_ModelAdmin):
    list_display = ["name", "created_at"]
    search_fields = ["name"]
    inlines = [GroupMemberInline]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


_KEY_FIELDS = ["scope_kind", "scope_id", "model", "unit", "period"]


class BudgetForm(_BudgetForm):
    class Meta:
        model = Budget
        fields = [*_KEY_FIELDS, "limit_units", "hard", "timezone", "thresholds"]
        help_texts = {
            "scope_id": "A user's or group's number, a conversation's UUID; empty for everyone.",
            "model": "provider:name; empty = all models.",
            "limit_units": "Tokens or nano-USD ($1 = 1,000,000,000); empty = unlimited.",
        }

    def _get_validation_exclusions(self) -> set[str]:
        """A budget with this key is not an error but the one to be set; the verb checks the rest."""
        return {*super()._get_validation_exclusions(), *_KEY_FIELDS}  # type: ignore[misc]  # private in Django

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        try:
            budgets.check_budget(**_arguments({**_key_of(self.instance), **cleaned}))
        except InvalidAmount as error:
            raise forms.ValidationError(str(error)) from None
        return cleaned


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


@admin.register(Budget)
class BudgetAdmin(_ModelAdmin):
    form = BudgetForm
    list_display = ["__str__", "model", "hard", "source", "timezone", "valid_to"]
    list_filter = ["scope_kind", "unit", "period", "source"]
    search_fields = ["=scope_id"]
    search_help_text = "A user's or group's number, or a conversation's UUID."
    show_full_result_count = False
    actions = ["close"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return _KEY_FIELDS if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        values = {name: getattr(obj, name) for name in BudgetForm.Meta.fields}
        obj.pk = budgets.set_budget(**_arguments(values)).pk
        obj.refresh_from_db()

    @admin.action(description="Close the selected budgets", permissions=["change"])
    def close(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        for budget in queryset:
            budgets.close_budget(budget)
        self.message_user(request, "Closed. What a plan brings has come back.", messages.SUCCESS)


@admin.register(Grant)
class GrantAdmin(_ModelAdmin):
    list_display = ["created_at", "budget", "granted_units", "remaining_units", "expires_at"]
    list_select_related = ["budget"]
    fields = ["budget", "granted_units", "expires_at", "priority"]
    raw_id_fields = ["budget"]
    show_full_result_count = False

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
