"""Prices in the admin: a new version is added, none is edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from billing.amounts import amount_words
from billing.errors import InvalidAmount
from billing.models import PriceVersion
from billing.prices import TierPrice, check_price, picousd_from_usd_per_million, set_price

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
    _Form = forms.ModelForm[PriceVersion]
else:
    _ModelAdmin = admin.ModelAdmin
    _Form = forms.ModelForm

_RATES = ("input", "output", "cache_read", "cache_write", "thinking")


def _usd(label: str, required: bool = False) -> forms.CharField:
    return forms.CharField(label=f"{label}, USD per million tokens", required=required, max_length=20)


def _dollars(picousd: int) -> str:
    """Pico-USD per token, which are millionths of a dollar per million tokens."""
    return amount_words("nanousd", picousd * 1_000)


class PriceForm(_Form):
    """Rates as people quote them. What is left empty follows input or output."""

    input = _usd("input", required=True)
    output = _usd("output", required=True)
    cache_read = _usd("cached input")
    cache_write = _usd("cache write")
    thinking = _usd("thinking")
    confirm = forms.BooleanField(
        required=False, label="I mean it", help_text="Needed for a change of more than tenfold."
    )

    class Meta:
        model = PriceVersion
        fields = ["model"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        try:
            rates = {
                f"{name}_picousd": picousd_from_usd_per_million(cleaned[name])
                for name in _RATES
                if cleaned[name].strip()
            }
            cleaned["tier"] = TierPrice(**rates)
            check_price(model=cleaned["model"], tiers=[cleaned["tier"]], confirm=cleaned["confirm"])
        except InvalidAmount as error:
            raise forms.ValidationError(str(error)) from None
        return cleaned


@admin.register(PriceVersion)
class PriceVersionAdmin(_ModelAdmin):
    form = PriceForm
    list_display = [
        "model",
        "valid_from",
        "valid_to",
        "above_input_tokens",
        "input_usd",
        "output_usd",
        "source",
    ]
    search_fields = ["=model"]
    search_help_text = "A model's whole name, as gemini:gemini-2.5-flash."
    show_full_result_count = False

    @admin.display(description="input, $ per million", ordering="input_picousd")
    def input_usd(self, row: PriceVersion) -> str:
        return _dollars(row.input_picousd)

    @admin.display(description="output, $ per million", ordering="output_picousd")
    def output_usd(self, row: PriceVersion) -> str:
        return _dollars(row.output_picousd)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["model", *_RATES, "confirm"]
        return [field.name for field in PriceVersion._meta.fields if field.name != "id"]

    def save_model(self, request: HttpRequest, obj: PriceVersion, form: Any, change: bool) -> None:
        made = set_price(
            model=obj.model,
            tiers=[form.cleaned_data["tier"]],
            source=f"admin {request.user.pk}",
            confirm=form.cleaned_data["confirm"],
        )
        obj.pk = made[0].pk
        obj.refresh_from_db()
