"""Our books beside the provider's bill: drift per model and day, the entries behind it, and what mends it.

The ledger's side is what was used and trued up, over the provider's own days (UTC for OpenAI, the US west
coast for Google), what the house bears included: the provider bills that too. Refunds and adjustments are
between us and the user, and leave it as it is. This is the one report that reads entries and no rollup: a
true-up counts where the call was, and no rollup knows a provider's days.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from billing import entries
from billing.entry_lists import EntriesAsked
from billing.errors import InvalidAmount
from billing.models import TOKEN_COLUMNS, EntryKind, LedgerEntry
from billing.periods import day_start
from billing.usage import UsageCounts
from billing.usage_sums import Sums
from monitoring.bill_files import BillUnreadable, match_model, read_bill
from monitoring.models import ProviderBill, ProviderBillLine

DAYS_AT_MOST = 400


@dataclass(frozen=True, slots=True)
class Drift:
    """One day of one model. ``model`` "" : the bill names one that the ledger does not know. ``line`` None:
    the bill is silent where the ledger has usage. Drifts are the bill's figure less ours; None: not billed.
    """

    day: date
    model: str
    line: ProviderBillLine | None
    ours: Sums

    @property
    def provider_model(self) -> str:
        return self.line.provider_model if self.line else ""

    @property
    def input_drift(self) -> int | None:
        return _less(self.line.input_tokens if self.line else None, self.ours.input_tokens)

    @property
    def output_drift(self) -> int | None:
        return _less(self.line.output_tokens if self.line else None, self.ours.output_tokens)

    @property
    def cost_drift_nanousd(self) -> int | None:
        return _less(self.line.cost_nanousd if self.line else None, self.ours.cost_nanousd)

    @property
    def may_be_estimate(self) -> bool:
        """Whether an estimate of ours may be what is off."""
        return bool(self.ours.estimated_calls and (self.input_drift or self.output_drift))

    @property
    def percent(self) -> Decimal | None:
        """How far the books are off, by cost where the bill has it, else by tokens."""
        if self.cost_drift_nanousd is not None and self.ours.cost_nanousd:
            return _share(self.cost_drift_nanousd, self.ours.cost_nanousd)
        if self.input_drift is not None and self.output_drift is not None and self.ours.total_tokens:
            return _share(self.input_drift + self.output_drift, self.ours.total_tokens)
        return None


def _less(billed: int | None, ours: int) -> int | None:
    return None if billed is None else billed - ours


def _share(part: int, whole: int) -> Decimal:
    return round(Decimal(part * 100) / whole, 2)


def import_bill(
    content: bytes, *, file_name: str, actor_id: int | None = None, now: datetime | None = None
) -> tuple[ProviderBill, bool]:
    """Store the sums of a billing file; the same file again gives the first import. Raises BillUnreadable."""
    digest = hashlib.sha256(content).hexdigest()
    before = ProviderBill.objects.filter(digest=digest).first()
    if before is not None:
        return before, False
    try:
        found = read_bill(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BillUnreadable("The file is not text in UTF-8.") from error
    first, last = found.sums[0].day, found.sums[-1].day
    if (last - first).days >= DAYS_AT_MOST:
        raise BillUnreadable(f"More than {DAYS_AT_MOST} days: export fewer.")
    with transaction.atomic():
        bill, created = ProviderBill.objects.get_or_create(
            digest=digest,
            defaults={
                "file_name": file_name[:200],
                "format": found.format,
                "provider": found.provider,
                "zone": found.zone,
                "first_day": first,
                "last_day": last,
                "imported_at": now or timezone.now(),
                "imported_by": actor_id,
            },
        )
        if created:
            ProviderBillLine.objects.bulk_create(
                ProviderBillLine(
                    bill=bill,
                    day=one.day,
                    provider_model=one.model[:200],
                    requests=one.requests,
                    input_tokens=one.input_tokens,
                    cached_tokens=one.cached_tokens,
                    output_tokens=one.output_tokens,
                    cost_nanousd=one.cost_nanousd,
                )
                for one in found.sums
            )
    return bill, created


def drift(bill: ProviderBill) -> list[Drift]:
    """Every day and model that the bill or the ledger knows in the bill's days. Two queries."""
    ours = _ours(bill)
    known = sorted({model for _, model in ours})
    found = []
    for line in bill.lines.order_by("day", "provider_model"):
        model = match_model(line.provider_model, bill.provider, known) or ""
        found.append(Drift(line.day, model, line, ours.pop((line.day, model), Sums())))
    found += [Drift(day, model, None, sums) for (day, model), sums in ours.items()]
    return sorted(found, key=lambda one: (one.day, not one.model, one.model, one.provider_model))


def _ours(bill: ProviderBill) -> dict[tuple[date, str], Sums]:
    """By the provider's day and our model. A true-up counts on the day of the call that it corrects."""
    _, begin, _ = day_of(bill, bill.first_day)
    *_, until = day_of(bill, bill.last_day)
    called_at = "hold__settled_entry__created_at"
    rows = (
        LedgerEntry.objects.filter(
            kind__in=(EntryKind.USAGE, EntryKind.TRUEUP),
            model__startswith=f"{bill.provider}:",
            **{f"{called_at}__gte": begin, f"{called_at}__lt": until},
        )
        .annotate(day=TruncDate(called_at, tzinfo=ZoneInfo(bill.zone)))
        .values_list("day", "model")
        .annotate(
            n_calls=Count("pk", filter=Q(kind=EntryKind.USAGE)),
            n_estimated=Count("pk", filter=Q(kind=EntryKind.USAGE, estimated=True)),
            n_unpriced=Count("pk", filter=Q(kind=EntryKind.USAGE, cost_nanousd=None)),
            **{f"sum_{column}": Sum(column) for column in TOKEN_COLUMNS},
            sum_cost=Sum("cost_nanousd", default=0),
        )
    )
    return {(row[0], row[1]): Sums(*row[2:]) for row in rows}


def day_of(bill: ProviderBill, day: date) -> tuple[date, datetime, datetime]:
    """A day of the provider's with its first instant and the one after its last."""
    return day, day_start(day, bill.zone), day_start(day + timedelta(days=1), bill.zone)


def entries_behind(bill: ProviderBill, day: date, model: str) -> EntriesAsked:
    """The calls that our figure of this day and model is the sum of; their true-ups stand with them."""
    _, begin, until = day_of(bill, day)
    return EntriesAsked(model=model, written_from=begin, written_before=until, entry_kind=EntryKind.USAGE)


def correct_estimate(bill: ProviderBill, found: Drift, *, now: datetime | None = None) -> LedgerEntry:
    """Replace the one estimate of this day and model by what the bill leaves for it, as a true-up.

    A bill gives sums, so this fits only where a single estimated entry explains the drift. Raises
    InvalidAmount where it does not.
    """
    line = found.line
    if line is None or not found.model or line.input_tokens is None or line.output_tokens is None:
        raise InvalidAmount("the bill does not say how many tokens these were")
    trued_up = LedgerEntry.objects.filter(kind=EntryKind.TRUEUP, hold=OuterRef("hold"))
    estimates = entries_behind(bill, found.day, found.model).entries().filter(estimated=True)
    open_ones = list(estimates.exclude(Exists(trued_up)))
    if len(open_ones) != 1:
        raise InvalidAmount(f"{len(open_ones)} estimates are open on this day, and the bill gives one sum")
    [entry] = open_ones
    given = line.input_tokens - (found.ours.input_tokens - entry.input_tokens)
    written = line.output_tokens - (found.ours.output_tokens - entry.output_tokens)
    cached_before = found.ours.cache_read_tokens - entry.cache_read_tokens
    cached = min(max((line.cached_tokens or 0) - cached_before, 0), max(given, 0))
    if given < 0 or written < 0 or entry.hold_id is None:
        raise InvalidAmount("the other entries of this day already hold more than the bill")
    made = entries.true_up(
        entry.hold_id,
        usage=UsageCounts(input_uncached=given - cached, cache_read=cached, output_visible=written),
        raw={"provider_bill": bill.pk},
        reported_input_tokens=given,
        reported_output_tokens=written,
        now=now,
    )
    if made is None:
        raise InvalidAmount("this entry is no estimate any more")
    return made
