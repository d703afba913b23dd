"""Usage to report on: calls of people, settled as the product settles them."""

from __future__ import annotations

import random
import uuid
from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone

from billing.accounts import set_plan
from billing.holds import HoldRequest, dispatch_hold, place_hold
from billing.models import Hold, LedgerEntry
from billing.settlements import settle_hold
from billing.usage import UsageCounts

KINDS = ("code", "explanation", "follow_up", "other", "")
MODELS = ("demo:friendly", "demo:0-5-0", "nowhere:unpriced")


def call(
    user: User,
    *,
    conversation_id: uuid.UUID,
    model: str = "demo:friendly",
    kind: str = "other",
    tokens: tuple[int, int] = (100, 50),
    bearer: str = "user",
    estimated: bool = False,
    now: datetime | None = None,
) -> LedgerEntry:
    """One call of a model: placed, sent and settled. ``tokens``: input and output."""
    now = now or timezone.now()
    given, written = tokens
    hold = call_held(
        user, held=(given, max(written, 1)), conversation_id=conversation_id, model=model, kind=kind, now=now
    )
    usage = UsageCounts(
        input_uncached=given - given // 4,
        cache_read=given // 4,
        output_visible=written - written // 3,
        thinking=written // 3,
    )
    entry = settle_hold(
        hold.pk, usage=usage, estimated=estimated, bearer=bearer, kind=kind, now=now, raw={}
    ).entry
    assert entry is not None
    return entry


def call_held(
    user: User,
    *,
    held: tuple[int, int],
    now: datetime,
    conversation_id: uuid.UUID | None = None,
    model: str = "demo:friendly",
    kind: str = "other",
) -> Hold:
    """A call that is under way, with so much input and output held for it."""
    hold = place_hold(
        HoldRequest(
            key=str(uuid.uuid4()),
            fingerprint="",
            user_id=user.pk,
            conversation_id=conversation_id or uuid.uuid4(),
            generation_id=uuid.uuid4(),
            attempt=1,
            purpose="answer" if kind else "title",
            model=model,
            input_tokens=held[0],
            wanted_output_tokens=held[1],
            minimum_output_tokens=1,
            lease_seconds=60,
        ),
        now=now,
    )
    dispatch_hold(hold.pk, now=now)
    return hold


def unlimited(*people: User) -> None:
    for person in people:
        set_plan(user_id=person.pk, plan="unlimited")


def random_call(
    chance: random.Random, user: User, conversations: list[uuid.UUID], now: datetime
) -> LedgerEntry:
    return call(
        user,
        conversation_id=chance.choice(conversations),
        model=chance.choice(MODELS),
        kind=chance.choice(KINDS),
        tokens=(chance.randrange(3000), chance.randrange(2000)),
        bearer=chance.choice(("user", "user", "user", "house")),
        estimated=chance.random() < 0.1,
        now=now,
    )
