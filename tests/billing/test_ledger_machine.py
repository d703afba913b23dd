"""The ledger against a model: any order of any moves, on whichever database the tests run."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billing import accounts, budgets, entries, grants, holds, prices
from billing.errors import BudgetExceeded, PriceUnknown
from billing.models import BillingGroup, Bucket, Budget, Hold, LedgerEntry
from billing.usage import UsageCounts
from tests.billing import play
from tests.billing.ledger_model import ModelBudget, ModelGrant, ModelHold, ModelPrice

LONG = "long" in (os.environ.get("CHATSITE_HYPOTHESIS"), os.environ.get("HYPOTHESIS_PROFILE"))
ZONES = ("UTC", "Europe/Berlin", "Asia/Tokyo", "America/St_Johns", "Pacific/Apia")
LIMITS = st.one_of(st.none(), st.integers(0, 5_000))
PICK = st.integers(0, 10**6)
# The evening before clocks go forward in Berlin.
START = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)


class LedgerMachine(RuleBasedStateMachine):
    """Names in ``keys`` say which budget is meant: the model's and the database's are kept side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.now = START
        group = BillingGroup.objects.create(name="team")
        for user_id in (1, 2):
            accounts.ensure_account(user_id=user_id, now=self.now)
            accounts.join_group(user_id=user_id, group=group)
        self.keys: dict[str, dict[str, Any]] = {
            "user 1": {"scope": "user", "scope_id": 1, "unit": "tokens", "period": "day"},
            "user 2": {"scope": "user", "scope_id": 2, "unit": "tokens", "period": "day"},
            "money 1": {"scope": "user", "scope_id": 1, "unit": "nanousd", "period": "week"},
            "group": {"scope": "group", "scope_id": group.pk, "unit": "tokens", "period": "month"},
            "chat": {
                "scope": "conversation",
                "scope_id": play.CONVERSATION,
                "unit": "tokens",
                "period": "none",
            },
            "site": {"scope": "everyone", "unit": "nanousd", "period": "month"},
        }
        self.model: dict[str, ModelBudget] = {}
        self.rows: dict[str, Budget] = {}
        for name, user_id in (("user 1", 1), ("user 2", 2)):
            self.rows[name] = Budget.objects.get(scope_id=str(user_id), scope_kind="user")
            self.model[name] = ModelBudget("user", "tokens", "day", 50_000, True, "UTC", START)
        self.prices: list[ModelPrice] = []
        self.holds: list[tuple[Hold, ModelHold, holds.HoldRequest]] = []

    def teardown(self) -> None:
        try:
            self.sweep()
            self.the_database_agrees()
            assert play.books_broken(self.now) == []
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    def price(self) -> ModelPrice | None:
        valid = [p for p in self.prices if p.start <= self.now and (p.end is None or p.end > self.now)]
        return valid[0] if valid else None

    def pick(self, number: int, *states: str) -> tuple[Hold, ModelHold, holds.HoldRequest] | None:
        found = [one for one in self.holds if one[1].state in states]
        return found[number % len(found)] if found else None

    def applying(self, user_id: int) -> list[ModelBudget]:
        names = ["group", "chat", "site", f"user {user_id}", f"money {user_id}"]
        return [self.model[n] for n in names if n in self.model and self.model[n].active(self.now)]

    @rule(
        name=st.sampled_from(["user 1", "user 2", "money 1", "group", "chat", "site"]),
        limit=LIMITS,
        hard=st.booleans(),
    )
    def set_budget(self, name: str, limit: int | None, hard: bool) -> None:
        key = self.keys[name]
        if limit is not None and key["unit"] == "nanousd":
            limit *= 300
        self.rows[name] = budgets.set_budget(**key, limit_units=limit, hard=hard, now=self.now)
        if name in self.model:
            self.model[name].change_limit(limit, hard, self.now)
        else:
            zone = accounts.ensure_account(user_id=1).timezone if name == "money 1" else "UTC"
            self.model[name] = ModelBudget(
                key["scope"], key["unit"], key["period"], limit, hard, zone, self.now
            )

    @rule(name=st.sampled_from(["money 1", "group", "chat", "site"]))
    def close_budget(self, name: str) -> None:
        if name in self.model and self.model[name].active(self.now):
            self.rows[name].refresh_from_db()
            budgets.close_budget(self.rows[name], now=self.now)
            self.model[name].closed_at = max(self.now, self.model[name].created_at)

    @rule(user_id=st.sampled_from([1, 2]), zone=st.sampled_from(ZONES))
    def move_to_zone(self, user_id: int, zone: str) -> None:
        accounts.set_timezone(user_id=user_id, timezone_name=zone)
        for name in (f"user {user_id}", f"money {user_id}"):
            if name in self.model:
                self.model[name].zone = zone

    @rule(seconds=st.one_of(st.integers(1, 120), st.integers(-7_200, 40 * 86_400)))
    def let_time_pass(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(input_price=st.integers(0, 3_000), output_price=st.integers(0, 9_000))
    def change_price(self, input_price: int, output_price: int) -> None:
        running = self.prices[-1] if self.prices else None
        if running is not None and (
            running.start >= self.now or (running.input, running.output) == (input_price, output_price)
        ):
            return
        tier = prices.TierPrice(input_price, output_price)
        prices.set_price(model=play.MODEL, tiers=[tier], valid_from=self.now, confirm=True)
        if running is not None:
            running.end = self.now
        self.prices.append(ModelPrice(self.now, None, input_price, output_price))

    @rule(
        user_id=st.sampled_from([1, 2]),
        input_tokens=st.integers(0, 800),
        wanted=st.integers(1, 3_000),
        minimum=st.integers(1, 300),
    )
    def place(self, user_id: int, input_tokens: int, wanted: int, minimum: int) -> None:
        asked = play.request(
            user_id, input_tokens=input_tokens, wanted_output_tokens=wanted, minimum_output_tokens=minimum
        )
        price, found = self.price(), self.applying(user_id)
        cap, unknown = wanted, False
        for budget in found:
            left = budget.remaining(self.now)
            if left is None:
                continue
            if budget.unit == "nanousd" and price is None:
                unknown = True
            else:
                cap = min(cap, _longest(budget.unit, price, input_tokens, wanted, left))
        if unknown or cap < min(minimum, wanted):
            with pytest.raises((PriceUnknown, BudgetExceeded)) as refused:
                holds.place_hold(asked, now=self.now)
            assert not isinstance(refused.value, PriceUnknown) or unknown
            if isinstance(refused.value, BudgetExceeded):
                assert unknown or refused.value.fits_output_tokens == max(0, cap)
                holds.record_refusal(refused.value, now=self.now)
            return
        hold = holds.place_hold(asked, now=self.now)
        assert hold.output_cap_tokens == cap
        lines = []
        for budget in found:
            units = input_tokens + cap
            if budget.unit == "nanousd":
                units = 0 if price is None else price.cost(input_tokens, cap)
            bucket = budget.bucket(self.now)
            if units:
                bucket = budget.take(units, self.now)
                lines.append((budget, bucket, units))
        lease = self.now + timedelta(seconds=asked.lease_seconds)
        self.holds.append((hold, ModelHold(input_tokens, cap, price, lines, lease), asked))

    @rule(number=PICK)
    def place_again(self, number: int) -> None:
        found = self.pick(number, "open", "dispatched", "settled", "released", "expired")
        if found:
            try:
                assert holds.place_hold(found[2], now=self.now).pk == found[0].pk
            finally:
                for budget in self.applying(found[2].user_id):
                    budget.bucket(self.now)  # asking opened the buckets of the day

    @rule(number=PICK)
    def dispatch(self, number: int) -> None:
        found = self.pick(number, "open", "dispatched", "settled", "released", "expired")
        if found:
            assert holds.dispatch_hold(found[0].pk, now=self.now) is (found[1].state == "open")
            if found[1].state == "open":
                found[1].state = "dispatched"

    @rule(number=PICK, tokens=st.integers(0, 500))
    def renew(self, number: int, tokens: int) -> None:
        found = self.pick(number, "open", "dispatched", "settled", "released", "expired")
        if not found:
            return
        alive = found[1].state in ("open", "dispatched")
        assert holds.renew_holds([(found[0].pk, tokens)], lease_seconds=30, now=self.now) == alive
        if alive:
            found[1].lease = self.now + timedelta(seconds=30)
            found[1].checkpoint = max(found[1].checkpoint, tokens)

    @rule(
        number=PICK,
        percent=st.sampled_from([0, 1, 50, 99, 100, 101, 150]),
        bearer=st.sampled_from(["user", "user", "house"]),
        estimated=st.booleans(),
    )
    def settle(self, number: int, percent: int, bearer: str, estimated: bool) -> None:
        found = self.pick(number, "dispatched")
        if found:
            hold, model, _ = found
            used = (model.input * percent // 100, model.cap * percent // 100)
            done = holds.settle_hold(
                hold.pk,
                usage=UsageCounts(input_uncached=used[0], output_visible=used[1]),
                estimated=estimated,
                bearer=bearer,
                now=self.now,
            )
            assert done.created
            assert done.entry is not None
            model.settle(used, bearer, estimated)

    @rule(number=PICK, tokens=st.integers(0, 5_000))
    def settle_again(self, number: int, tokens: int) -> None:
        found = self.pick(number, "settled", "released", "expired")
        if found:
            usage = UsageCounts(output_visible=tokens)
            done = holds.settle_hold(found[0].pk, usage=usage, estimated=False, now=self.now)
            assert not done.created
            assert (done.entry is not None) == (found[1].state == "settled")

    @rule(number=PICK)
    def release(self, number: int) -> None:
        found = self.pick(number, "open", "dispatched", "settled", "released", "expired")
        if found:
            alive = found[1].state in ("open", "dispatched")
            assert holds.release_hold(found[0].pk, reason="refused", now=self.now) is alive
            if alive:
                found[1].close("released")

    @rule()
    def sweep(self) -> None:
        lapsed = [one for one in self.holds if one[1].lease <= self.now]
        expected = {one[0].pk for one in lapsed if one[1].state in ("open", "dispatched")}
        assert set(holds.expire_holds(now=self.now)) == expected
        for _, model, _ in lapsed:
            if model.state == "open":
                model.close("expired")
            elif model.state == "dispatched":
                model.settle((model.input, model.checkpoint), "house", True)

    @rule(number=PICK, input_tokens=st.integers(0, 900), output_tokens=st.integers(0, 3_000))
    def true_up(self, number: int, input_tokens: int, output_tokens: int) -> None:
        found = self.pick(number, "settled")
        if not found or (found[1].refunded and found[1].trued is None):
            return
        hold, model, _ = found
        usage = UsageCounts(input_uncached=input_tokens, output_visible=output_tokens)
        entry = entries.true_up(hold.pk, usage=usage, now=self.now)
        assert (entry is not None) == model.estimated
        if model.estimated and model.trued is None:
            model.trued = (input_tokens, output_tokens)
            model.correct(1, model.used, model.trued)

    @rule(number=PICK)
    def refund(self, number: int) -> None:
        found = self.pick(number, "settled")
        if not found or found[1].trued is not None:
            return
        hold, model, _ = found
        entry = LedgerEntry.objects.get(hold_id=hold.pk, kind="usage")
        entries.refund(entry.pk, reason="asked for", now=self.now)
        if not model.refunded:
            model.refunded = True
            model.correct(-1, (0, 0), model.used)

    @rule(
        name=st.sampled_from(["user 1", "chat", "site"]),
        units=st.integers(1, 3_000),
        days=st.one_of(st.none(), st.integers(1, 20)),
        priority=st.integers(0, 2),
    )
    def grant(self, name: str, units: int, days: int | None, priority: int) -> None:
        if name in self.model:
            expires_at = None if days is None else self.now + timedelta(days=days)
            made = grants.grant_units(
                budget=self.rows[name],
                units=units,
                key=str(uuid4()),
                expires_at=expires_at,
                priority=priority,
                now=self.now,
            )
            self.model[name].grants[made.pk] = ModelGrant(units, expires_at, priority, made.pk)

    @rule()
    def expire_grants(self) -> None:
        grants.expire_grants(now=self.now)
        for budget in self.model.values():
            for grant in budget.grants.values():
                if grant.expires_at is not None and grant.expires_at <= self.now:
                    grant.remaining = 0

    @invariant()
    def the_database_agrees(self) -> None:
        found = {
            (row.budget_id, row.period_start): (
                row.period_end,
                row.posted,
                row.held,
                row.slack,
                row.limit_units,
            )
            for row in Bucket.objects.all()
        }
        expected = {
            (self.rows[name].pk, bucket.start): (
                bucket.end,
                bucket.posted,
                bucket.held,
                bucket.slack,
                bucket.full,
            )
            for name, budget in self.model.items()
            for bucket in budget.buckets
        }
        touched = {key: value for key, value in expected.items() if key in found or any(value[1:4])}
        assert found == touched

    @precondition(lambda self: self.holds)
    @invariant()
    def states_agree(self) -> None:
        hold, model, _ = self.holds[-1]
        assert Hold.objects.get(pk=hold.pk).state == model.state


def _longest(unit: str, price: ModelPrice | None, input_tokens: int, wanted: int, left: int) -> int:
    """The longest answer that fits, by search: -1 = not even an empty one."""
    low, high = -1, wanted
    while low < high:
        middle = (low + high + 1) // 2
        needs = input_tokens + middle
        if unit == "nanousd":
            assert price is not None
            needs = price.cost(input_tokens, middle)
        low, high = (middle, high) if needs <= left else (low, middle - 1)
    return low


# In parts, because no single test may take longer than five minutes; 2,000 examples in all.
@pytest.mark.django_db
@pytest.mark.no_cover
@pytest.mark.parametrize("part", range(20 if LONG else 1))
def test_the_ledger_agrees_with_its_model(part: int) -> None:
    shape = settings(
        max_examples=100,
        stateful_step_count=50 if LONG else 30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    # Each part plays other examples.
    run_state_machine_as_test(LedgerMachine, settings=settings(shape, derandomize=False) if LONG else shape)
