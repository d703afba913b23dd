"""A provider that refuses a fifth of all calls at random, some with a hint of when to come again.

Over HTTP, from a server of its own, with real statuses and bodies. What is asked for: at least 99 % of the
questions are answered, no call comes before the hint of the one before it, and nothing is asked more often
than was refused.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from conversations.database import in_database
from tests.chaos.cast import offer, person, site_budget
from tests.chaos.judge import books, numbered
from tests.chaos.viewer import Shown, Viewer
from tests.chaos.world import World

FAULT_PERCENT = 20
HINT_SECONDS = 1
MODEL, TOKENS = "20-20-2", 20
END_SECONDS = 400.0


def provider_options(seed: int) -> tuple[str, ...]:
    return ("--fault-percent", str(FAULT_PERCENT), "--hint-seconds", str(HINT_SECONDS), "--seed", str(seed))


@dataclass
class Verdict:
    turns: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    refused: int = 0
    hinted: int = 0
    early: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def completed_percent(self) -> float:
        return 100 * self.ends["completed"] / self.turns

    def summary(self) -> str:
        return (
            f"{self.turns} questions, {self.completed_percent:.1f} % completed; {self.calls} calls, "
            f"{self.refused} refused ({self.hinted} with a hint), {self.early} earlier than the hint; "
            f"{len(self.complaints)} complaints"
        )


async def run(world: World, *, turns: int, people: int) -> Verdict:
    """``people`` ask ``turns`` questions in all, each the next one as soon as the last is answered."""
    await in_database(offer, MODEL)
    await in_database(site_budget)
    web = await asyncio.to_thread(world.start_web)
    await asyncio.to_thread(world.start_worker)
    await asyncio.to_thread(world.wait_for_web, web)
    asked: list[Shown] = []
    async with AsyncExitStack() as stack, asyncio.timeout(END_SECONDS), asyncio.TaskGroup() as group:
        for number in range(people):
            who = await in_database(person, f"busy-{uuid.uuid4().hex[:8]}")
            viewer = Viewer(who.conversation_id, who.secret, lambda: web.address, user_id=who.user_id)
            await stack.enter_async_context(viewer)
            count = turns // people + (number < turns % people)
            group.create_task(_ask(viewer, count, asked))
    verdict = Verdict(turns=turns, ends=Counter(shown.state for shown in asked))
    for shown in asked:
        if shown.state == "completed" and shown.answer != numbered(TOKENS):
            verdict.complaints.append(f"{shown.generation_id} shows {shown.answer!r}")
        elif shown.end is not None and shown.state != "completed":
            verdict.complaints.append(f"{shown.generation_id}: {shown.state} {shown.end.get('error')}")
    _count(verdict, await asyncio.to_thread(world.upstream.calls))
    verdict.complaints += await in_database(books)
    return verdict


async def _ask(viewer: Viewer, count: int, asked: list[Shown]) -> None:
    for _ in range(count):
        shown = await viewer.ask(f"Question {uuid.uuid4()}", f"openai:{MODEL}")
        asked.append(shown)
        await shown.over.wait()


def _count(verdict: Verdict, calls: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for question, made in calls.items():
        verdict.calls += len(made)
        refused = [call for call in made if call["status"] >= 400]
        verdict.refused += len(refused)
        verdict.hinted += sum(call["retry_after"] is not None for call in refused)
        for call, following in itertools.pairwise(made):
            if call["retry_after"] is not None:
                early = following["arrived_at"] < call["arrived_at"] + float(call["retry_after"])
                verdict.early += early
        if len(made) > len(refused) + 1:
            verdict.complaints.append(f"{question} was answered {len(made) - len(refused)} times")
    if verdict.calls > verdict.refused + verdict.turns:
        verdict.complaints.append(f"{verdict.calls} calls for {verdict.turns} questions")
    if verdict.early:
        verdict.complaints.append(f"{verdict.early} calls came before the hint")
