"""Our books beside the provider's bill: drift per model and day, the entries behind it, and what mends it.

The ledger's side is what was used and trued up, over the provider's own days (UTC for OpenAI, the US west
coast for Google), what the house bears included: the provider bills that too. Refunds and adjustments are
between us and the user, and leave it as it is. This is the one report that reads entries and no rollup: a
true-up counts where the call was, and no rollup knows a provider's days.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
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
from monitoring.bill_files import BillUnreadable, read_bill
from monitoring.bill_sums import BillSum, added_up, match_model
from monitoring.models import ProviderBill, ProviderBillLine

DAYS_AT_MOST = 400


@dataclass(frozen=True, slots=True)
class Drift:
    """One model on one day, or over the days that the bill tells together. Drifts are the bill's figure less
    ours; None: not billed.

    ``model`` "": the bill names one (``provider_model``) that the ledger does not know. ``billed`` None: the
    bill is silent where the ledger has usage. A cost drift is None too where no call of ours had a price.
    ``is_partial``: the last day was not over at the import, so the bill need not hold all of it.
    """

    day: date
    last_day: date
    model: str
    provider_model: str
    billed: BillSum | None
    ours: Sums
    is_partial: bool = False

    @property
    def input_drift(self) -> int | None:
        return _less(self.billed.input_tokens if self.billed else None, self.ours.input_tokens)

    @property
    def output_drift(self) -> int | None:
        return _less(self.billed.output_tokens if self.billed else None, self.ours.output_tokens)

    @property
    def cost_drift_nanousd(self) -> int | None:
        return _less(self.billed.cost_nanousd if self.billed else None, self.ours.known_cost_nanousd)

    @property
    def may_be_estimate(self) -> bool:
        """Whether an estimate of ours may be what is off."""
        off = self.input_drift or self.output_drift
        return bool(self.ours.estimated_calls and off and not self.is_partial)

    @property
    def percent(self) -> Decimal | None:
        """How far the books are off, by cost where the bill has it, else by tokens."""
        if self.cost_drift_nanousd is not None and self.ours.cost_nanousd:
            return _share(self.cost_drift_nanousd, self.ours.cost_nanousd)
        if self.input_drift is not None and self.output_drift is not None and self.ours.total_tokens:
            return _share(self.input_drift + self.output_drift, self.ours.total_tokens)
        return None


def _less(billed: int | None, ours: int | None) -> int | None:
    return None if billed is None or ours is None else billed - ours


def _share(part: int, whole: int) -> Decimal:
    return round(Decimal(part * 100) / whole, 2)


def import_bill(
    content: bytes,
    *,
    file_name: str,
    currency: str = "",
    actor_id: int | None = None,
    now: datetime | None = None,
) -> tuple[ProviderBill, bool]:
    """Store the sums of a billing file; the same file again gives the first import.

    ``currency`` as in ``read_bill``, which says what is raised.
    """
    digest = hashlib.sha256(content).hexdigest()
    before = ProviderBill.objects.filter(digest=digest).first()
    if before is not None:
        return before, False
    found = read_bill(content, currency=currency)
    first, last = found.sums[0].day, max(one.last_day for one in found.sums)
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
                    last_day=one.last_day,
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
    names: dict[str, set[str]] = defaultdict(set)
    lines = []
    for line in bill.lines.all():
        # Ours have a provider before the colon, so they cannot be taken for a name on the bill.
        model = match_model(line.provider_model, bill.provider, known) or line.provider_model
        names[model].add(line.provider_model)
        figures = line.requests, line.input_tokens, line.cached_tokens, line.output_tokens, line.cost_nanousd
        lines.append(BillSum(line.day, line.last_day, model, *figures))
    found = []
    for billed in added_up(lines):
        of_days = [
            day for day, model in ours if model == billed.model and billed.day <= day <= billed.last_day
        ]
        sums = sum((ours.pop((day, billed.model)) for day in of_days), start=Sums())
        model = billed.model if billed.model in known else ""
        name = ", ".join(sorted(names[billed.model]))
        partial = _is_partial(bill, billed.last_day)
        found.append(Drift(billed.day, billed.last_day, model, name, billed, sums, partial))
    found += [
        Drift(day, day, model, "", None, sums, _is_partial(bill, day)) for (day, model), sums in ours.items()
    ]
    return sorted(found, key=lambda one: (one.day, not one.model, one.model, one.provider_model))


def _is_partial(bill: ProviderBill, day: date) -> bool:
    *_, until = day_of(bill, day)
    return bill.imported_at < until


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


def entries_behind(
    bill: ProviderBill, day: date, model: str, *, last_day: date | None = None
) -> EntriesAsked:
    """The calls that our figure of these days and model is the sum of; their true-ups stand with them."""
    _, begin, _ = day_of(bill, day)
    *_, until = day_of(bill, last_day or day)
    return EntriesAsked(model=model, written_from=begin, written_before=until, entry_kind=EntryKind.USAGE)


def correct_estimate(bill: ProviderBill, found: Drift, *, now: datetime | None = None) -> LedgerEntry:
    """Replace the one estimate of these days and this model by what the bill leaves for it, as a true-up.

    A bill gives sums, so this fits only where a single estimated entry explains the drift. Raises
    InvalidAmount where it does not.
    """
    billed = found.billed
    if billed is None or not found.model or billed.input_tokens is None or billed.output_tokens is None:
        raise InvalidAmount("the bill does not say how many tokens these were")
    if found.is_partial:
        raise InvalidAmount("the day was not over when the bill was imported; import a later one")
    trued_up = LedgerEntry.objects.filter(kind=EntryKind.TRUEUP, hold=OuterRef("hold"))
    behind = entries_behind(bill, found.day, found.model, last_day=found.last_day)
    estimates = behind.entries().filter(estimated=True)
    open_ones = list(estimates.exclude(Exists(trued_up)))
    if len(open_ones) != 1:
        raise InvalidAmount(f"{len(open_ones)} estimates are open on these days, and the bill gives one sum")
    [entry] = open_ones
    given = billed.input_tokens - (found.ours.input_tokens - entry.input_tokens)
    written = billed.output_tokens - (found.ours.output_tokens - entry.output_tokens)
    cached_before = found.ours.cache_read_tokens - entry.cache_read_tokens
    cached = min(max((billed.cached_tokens or 0) - cached_before, 0), max(given, 0))
    if given < 0 or written < 0 or entry.hold_id is None:
        raise InvalidAmount("the other entries of these days already hold more than the bill")
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
