from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from billing import accounts
from billing.errors import InvalidAmount
from billing.models import Account, BillingGroup, Budget, GroupMember
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_an_account_is_made_once_with_the_default_plan() -> None:
    first = accounts.ensure_account(user_id=5, now=play.NOON)
    assert accounts.ensure_account(user_id=5) == first
    assert (first.plan.name, first.timezone) == ("pro", "UTC")
    assert Budget.objects.get().scope_id == "5"


def test_a_default_plan_that_does_not_exist_is_named(settings: pytest.FixtureRequest) -> None:
    settings.DEFAULT_PLAN = "gold"  # type: ignore[attr-defined]  # pytest-django's settings wrapper
    with pytest.raises(ImproperlyConfigured, match="gold"):
        accounts.ensure_account(user_id=5)
    assert Account.objects.count() == 0


def test_a_user_is_in_at_most_one_group() -> None:
    red, blue = (BillingGroup.objects.create(name=name) for name in ("red", "blue"))
    accounts.join_group(user_id=1, group=red)
    accounts.join_group(user_id=1, group=blue)
    assert GroupMember.objects.get().group == blue
    assert accounts.payer(1, now=play.NOON).group_id == blue.pk
    accounts.join_group(user_id=1, group=None)
    assert accounts.payer(1, now=play.NOON).group_id is None


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InvalidAmount, match="not a time zone"):
        accounts.set_timezone(user_id=1, timezone_name="Berlin")


def test_an_unknown_plan_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidAmount, match="free, pro, unlimited"):
        accounts.set_plan(user_id=1, plan="gold")
