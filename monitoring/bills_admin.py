"""The door on reconciliation: upload a provider's bill, see the drift, go down to the entries behind it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse

from billing.admin.people import names_of
from billing.entry_lists import entries_page
from billing.errors import InvalidAmount
from billing.models import LedgerEntry
from billing.receipts import usd
from conversations.usage.csv_files import CONTENT_TYPE, csv_lines
from monitoring.bill_files import OTHER, BillUnreadable, CurrencyUnnamed
from monitoring.models import ProviderBill
from monitoring.reconciliation import Drift, correct_estimate, drift, entries_behind, import_bill
from monitoring.tables import Table

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[ProviderBill]
else:
    _ModelAdmin = admin.ModelAdmin

LARGEST_BYTES = 20_000_000
ENTRIES_SHOWN = 200
_LINE = "<str:day>/<path:model>"


class BillForm(forms.Form):
    file = forms.FileField(
        label="Billing file",
        help_text=(
            "Google Cloud: Reports, grouped by date and SKU (or the Cost table, which tells whole months)."
            " OpenAI: the usage or cost export, by day and grouped by model or line item. As CSV."
        ),
    )

    currency = forms.ChoiceField(
        label="Currency",
        required=False,
        choices=[
            ("", "As the file says"),
            ("USD", "US dollars: “$” in the file means USD"),
            (OTHER, "Another one"),
        ],
        help_text=(
            "Google Cloud's Reports name no currency, only a sign, and “$” is that of many. Look at your"
            " billing account: under Payment settings it says which one it is. Only US dollars can be"
            " compared; for another one take the Cost table, which has the exchange rate."
        ),
    )


@admin.register(ProviderBill)
class ProviderBillAdmin(_ModelAdmin):
    list_display = ["__str__", "provider", "file_name", "imported_at"]
    ordering = ["-imported_at"]
    show_full_result_count = False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path(
                "<int:pk>/entries/<str:day>/<path:model>/", view(self.entries), name="provider_bill_entries"
            ),
            path(
                "<int:pk>/correct/<str:day>/<path:model>/", view(self.correct), name="provider_bill_correct"
            ),
            path("<int:pk>/csv/", view(self.csv), name="provider_bill_csv"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = BillForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            upload, currency = form.cleaned_data["file"], form.cleaned_data["currency"]
            try:
                if upload.size > LARGEST_BYTES:
                    raise BillUnreadable("The file is larger than 20 MB: export fewer days.")
                bill, created = import_bill(
                    upload.read(), file_name=upload.name, currency=currency, actor_id=request.user.pk
                )
            except CurrencyUnnamed as error:
                form.add_error("currency", str(error))
            except BillUnreadable as error:
                form.add_error("file", str(error))
            else:
                if not created:
                    self.message_user(request, "This file was imported before.", messages.WARNING)
                return redirect("admin:monitoring_providerbill_change", bill.pk)
        context = {**self.admin_site.each_context(request), "title": "Import a bill", "form": form}
        return render(request, "monitoring/bill_import.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        bill = self._bill(request, object_id)
        found = drift(bill)
        context = {
            **self.admin_site.each_context(request),
            "title": str(bill),
            "bill": bill,
            "table": drift_table(bill, found),
            "correctable": [one for one in found if one.may_be_estimate],
            "may_correct": request.user.has_perm("billing.refund_ledgerentry"),
        }
        return render(request, "monitoring/bill.html", context)

    def csv(self, request: HttpRequest, pk: int) -> HttpResponse:
        bill = self._bill(request, pk)
        rows = drift_table(bill, drift(bill)).csv_rows()
        response = HttpResponse(csv_lines(rows), content_type=CONTENT_TYPE)
        response["Content-Disposition"] = 'attachment; filename="drift.csv"'
        return response

    def entries(self, request: HttpRequest, pk: int, day: str, model: str) -> HttpResponse:
        bill = self._bill(request, pk)
        last = _day(request.GET.get("to") or day)
        page = entries_page(entries_behind(bill, _day(day), model, last_day=last), limit=ENTRIES_SHOWN)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{model}, {_days_text(_day(day), last)}",
            "bill": bill,
            "table": entries_table(page.entries),
            "more": page.next_cursor is not None,
        }
        return render(request, "monitoring/bill_entries.html", context)

    def correct(self, request: HttpRequest, pk: int, day: str, model: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        bill = self._bill(request, pk)
        if not request.user.has_perm("billing.refund_ledgerentry"):
            raise PermissionDenied
        found = next((one for one in drift(bill) if (one.day, one.model) == (_day(day), model)), None)
        if found is None:
            raise Http404
        try:
            made = correct_estimate(bill, found)
        except InvalidAmount as error:
            self.message_user(request, f"Not corrected: {error}.", messages.ERROR)
        else:
            self.message_user(request, f"Corrected by the true-up {made.pk}.", messages.SUCCESS)
        return redirect("admin:monitoring_providerbill_change", bill.pk)

    def _bill(self, request: HttpRequest, pk: object) -> ProviderBill:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not str(pk).isascii() or not str(pk).isdigit() or len(str(pk)) > 18:
            raise Http404
        return get_object_or_404(ProviderBill, pk=pk)


def drift_table(bill: ProviderBill, found: list[Drift]) -> Table:
    return Table(
        "drift",
        "Drift by day and model",
        [
            ("Day", "text"),
            ("Model", "text"),
            ("On the bill", "text"),
            ("Our input", "count"),
            ("Input drift", "count"),
            ("Our output", "count"),
            ("Output drift", "count"),
            ("Our cost", "nanousd"),
            ("Cost drift", "nanousd"),
            ("Off by", "percent"),
            ("Estimated", "count"),
            ("Remark", "text"),
        ],
        [
            [
                _days_text(one.day, one.last_day),
                one.model or "not in the books",
                one.provider_model or "not on the bill",
                one.ours.input_tokens,
                one.input_drift,
                one.ours.output_tokens,
                one.output_drift,
                one.ours.known_cost_nanousd,
                one.cost_drift_nanousd,
                one.percent,
                one.ours.estimated_calls,
                "The day was not over" if one.is_partial else "",
            ]
            for one in found
        ],
        [_entries_address(bill, one) if one.model else "" for one in found],
        note="Drift is the bill less our books. A day leads to the entries behind our figure.",
    )


def _days_text(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _entries_address(bill: ProviderBill, one: Drift) -> str:
    address = reverse("admin:provider_bill_entries", args=[bill.pk, one.day, one.model])
    return address if one.day == one.last_day else f"{address}?to={one.last_day}"


def entries_table(found: list[LedgerEntry]) -> Table:
    names = names_of(one.user_id for one in found)
    return Table(
        "entries",
        "Entries",
        [
            ("Written", "time"),
            ("Person", "text"),
            ("Input", "count"),
            ("Output", "count"),
            ("Cost", "text"),
            ("Estimated", "text"),
            ("Borne by", "text"),
            ("Entry", "text"),
        ],
        [
            [
                one.created_at,
                names.get(one.user_id, f"former user {one.user_id}"),
                one.input_tokens,
                one.output_tokens,
                f"${usd(one.cost_nanousd)}" if one.cost_nanousd is not None else "unknown",
                "yes" if one.estimated else "",
                one.bearer,
                str(one.pk),
            ]
            for one in found
        ],
        [reverse("admin:billing_ledgerentry_change", args=[one.pk]) for one in found],
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Http404 from None
