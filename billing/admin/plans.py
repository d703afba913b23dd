"""Plans, and who has them: accounts and groups. Every change goes through its verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing import accounts, plans
from billing.admin.amounts import UNITS, AmountField, show_amount, take_amount
from billing.admin.people import NamesPeople, PersonField, numbers_like
from billing.admin.percents import PercentsField
from billing.errors import InvalidAmount
from billing.models import (
    Account,
    BillingGroup,
    GroupMember,
    Plan,
    PlanBudget,
)
from billing.periods import check_timezone

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
    _StackedInline = admin.StackedInline[Any, Any]
    _TabularInline = admin.TabularInline[Any, Any]
    _AccountForm = forms.ModelForm[Account]
    _PlanBudgetForm = forms.ModelForm[PlanBudget]
    _MemberForm = forms.ModelForm[GroupMember]
else:
    _ModelAdmin = admin.ModelAdmin
    _StackedInline = admin.StackedInline
    _TabularInline = admin.TabularInline
    _AccountForm = _PlanBudgetForm = _MemberForm = forms.ModelForm


class PlanBudgetForm(_PlanBudgetForm):
    unit = forms.ChoiceField(choices=UNITS)
    limit_units = AmountField()
    thresholds = PercentsField()

    class Meta:
        model = PlanBudget
        fields = ["unit", "limit_units", "period", "model", "hard", "thresholds"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_amount(self, "limit_units", self.instance.unit)

    def clean(self) -> dict[str, Any]:
        return take_amount(self, super().clean() or self.cleaned_data, "limit_units", self.instance.unit)


class PlanBudgetInline(_StackedInline):
    model = PlanBudget
    form = PlanBudgetForm
    # As a table they are wider than a phone by twice.
    fields = ("limit_units", "unit", "period", "model", "hard", "thresholds")
    extra = 0
    verbose_name_plural = "budgets that each person of the plan gets"


@admin.register(Plan)
class PlanAdmin(_ModelAdmin):
    list_display = ["label", "name", "gives", "position"]

    @admin.display(description="gives each person")
    def gives(self, plan: Plan) -> str:
        return "; ".join(str(rule) for rule in plan.budgets.all()) or "nothing limits them"

    inlines = [PlanBudgetInline]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        count = plans.sync_plan(form.instance)
        self.message_user(
            request, f"The plan's budgets now hold for its {count} {'person' if count == 1 else 'people'}."
        )


class AccountForm(_AccountForm):
    user_id = PersonField()

    class Meta:
        model = Account
        fields = ["user_id", "plan", "timezone"]

    def clean_timezone(self) -> str:
        try:
            return check_timezone(self.cleaned_data["timezone"])
        except InvalidAmount as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(Account)
class AccountAdmin(NamesPeople):
    form = AccountForm
    list_display = ["person", "plan", "timezone"]
    list_select_related = ["plan"]
    list_filter = ["plan"]
    search_fields = ["=user_id"]
    search_help_text = "A name or its beginning."
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["person" if obj else "user_id", "plan", "timezone"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["person", "user_id"] if obj else []

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Account], search_term: str
    ) -> tuple[QuerySet[Account], bool]:
        found, doubled = super().get_search_results(request, queryset, search_term)
        if term := search_term.strip():
            found |= queryset.filter(user_id__in=numbers_like(term))
        return found, doubled

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        accounts.set_plan(user_id=obj.user_id, plan=obj.plan.name)
        saved = accounts.set_timezone(user_id=obj.user_id, timezone_name=obj.timezone)
        obj.pk = saved.pk
        obj.refresh_from_db()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class GroupMemberForm(_MemberForm):
    user_id = PersonField()

    class Meta:
        model = GroupMember
        fields = ["user_id"]


class GroupMemberInline(_TabularInline):
    model = GroupMember
    form = GroupMemberForm
    extra = 0
    verbose_name_plural = "members: a person is in one group at most"


@admin.register(BillingGroup)
class BillingGroupAdmin(_ModelAdmin):
    list_display = ["name", "created_at"]
    search_fields = ["name"]
    inlines = [GroupMemberInline]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
