"""Everything fails, often: processes are killed, Valkey and PostgreSQL restart, messages get lost.

    make chaos ARGS="--seed 7"

People ask questions the whole time, over sockets that are cut again and again. The seed decides which faults
come in which order, at what distance, and whom they hit; the moments of the machine are its own. A fault
that must come *while streaming* waits until the process to be killed has an answer in the middle.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import redis
from django.utils import timezone

from billing.models import Hold
from chatsite.valkey import EmbeddedValkey
from conversations.database import in_database
from conversations.models import Generation, Pulse, State
from conversations.models.pulse import SWEEPER
from tests.chaos.browsers import Browsers
from tests.chaos.cast import Person, offer, person, site_budget
from tests.chaos.judge import Case, Witness, judge, numbered
from tests.chaos.page_shown import Seen
from tests.chaos.patience import patiently
from tests.chaos.plan import BY_HAND, MODELS, WELL, Plan
from tests.chaos.viewer import Shown, Viewer
from tests.chaos.world import World
from tests.forking import Fork

LIMIT_SECONDS = 90.0  # from the last fault to the last end
AIM_SECONDS = 8.0  # at most so long a fault waits for an answer in the middle
AIMED_SHARE = 0.75  # of the kills


@dataclass
class Verdict:
    faults: Counter[str] = field(default_factory=Counter)
    streaming_kills: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0
    compared: int = 0
    last_end_seconds: float = 0.0
    longest_unswept: tuple[float, str] = (0.0, "")  # seconds without a sweep, and when that was
    pages: Seen = field(default_factory=Seen)
    complaints: list[str] = field(default_factory=list)

    def summary(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        ends = ", ".join(f"{count} {state}" for state, count in sorted(self.ends.items()))
        kills = self.faults["web killed"] + self.faults["worker killed"]
        return (
            f"{sum(self.ends.values())} questions: {ends}\n"
            f"faults: {faults} ({self.streaming_kills} of {kills} kills while streaming)\n"
            f"{self.reconnects} reconnects, {self.compared} comparisons of what was shown; "
            f"the last end came {self.last_end_seconds:.1f} s after the last fault; "
            f"at most {self.longest_unswept[0]:.1f} s without a sweep{self.longest_unswept[1]}\n"
            f"{self.pages.summary()}\n"
            f"{len(self.complaints)} complaints"
        )


class Storm:
    """``valkey`` and ``restart_database`` are ill-treated as well; None: there is none to restart."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        *,
        valkey: EmbeddedValkey,
        restart_database: Callable[[], None] | None = None,
    ) -> None:
        self.world, self.plan, self.valkey = world, plan, valkey
        self.restart_database = restart_database
        self.chance = random.Random(plan.seed)
        self.webs: list[Fork | None] = [None] * plan.webs
        self.workers: list[Fork | None] = [None] * plan.workers
        self.viewers: list[Viewer] = []
        self.cases: list[Case] = []
        self.verdict = Verdict()
        self._left = plan.turns
        self._all_asked = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> Verdict:
        await in_database(offer, *MODELS)
        await in_database(site_budget)
        people = [await in_database(person, f"storm-{uuid.uuid4().hex[:8]}") for _ in range(self.plan.people)]
        at_browsers, others = people[: self.plan.browsers], people[self.plan.browsers :]
        for slot in range(self.plan.workers):
            await self._start_worker(slot)
        await asyncio.gather(*(self._start_web(slot) for slot in range(self.plan.webs)))
        async with AsyncExitStack() as stack:
            browsers = Browsers(
                self.plan, self._address, take=self._take, cases=self.cases, seen=self.verdict.pages
            )
            asking = [
                *[asyncio.create_task(one) for one in await browsers.people(at_browsers, stack)],
                *[asyncio.create_task(self._person(one, number, stack)) for number, one in enumerate(others)],
            ]
            self._soon(self._watch_sweeps())
            await self._weather()
            last_fault = time.monotonic()
            _, late = await asyncio.wait(asking, timeout=LIMIT_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            self.verdict.complaints += [repr(e) for t in asking if not t.cancelled() and (e := t.exception())]
            self.verdict.last_end_seconds = time.monotonic() - last_fault
            await self._settle_down()
        for task in self._tasks:
            task.cancel()
        await self._judge()
        return self.verdict

    # --- People -----------------------------------------------------------------

    def _address(self, chance: random.Random) -> str:
        ready = [web.address for web in self.webs if web is not None and not web.ended.is_set()]
        return chance.choice(ready) if ready else "127.0.0.1:9"

    async def _person(self, who: Person, number: int, stack: AsyncExitStack) -> None:
        chance = random.Random(f"{self.plan.seed} {number}")
        viewer = Viewer(who.conversation_id, who.secret, lambda: self._address(chance), user_id=who.user_id)
        await stack.enter_async_context(viewer)
        self.viewers.append(viewer)
        cutting = asyncio.create_task(self._cut(viewer, chance))
        try:
            while self._take():
                await self._ask(viewer, chance)
        finally:
            cutting.cancel()

    def _take(self) -> bool:
        """Whether one more question is to be asked."""
        if self._left == 0:
            return False
        self._left -= 1
        if self._left == 0:
            self._all_asked.set()
        return True

    async def _ask(self, viewer: Viewer, chance: random.Random) -> None:
        model = chance.choice(list(MODELS))
        tokens = MODELS[model]
        text = f"Question {uuid.uuid4()}"
        shown = await viewer.ask(text, f"openai:{model}", whole=numbered(tokens))
        by_hand = chance.randrange(100) < self.plan.stop_percent
        name = f"{model} of {viewer.conversation_id}"
        self.cases.append(Case(name, tokens, shown, BY_HAND if by_hand else WELL))
        if by_hand:
            stopping = asyncio.create_task(_stop(viewer, shown))
            await shown.over.wait()
            stopping.cancel()
        await shown.over.wait()

    async def _cut(self, viewer: Viewer, chance: random.Random) -> None:
        while True:
            await asyncio.sleep(chance.uniform(*self.plan.cut_every))
            if viewer.cut():
                self.verdict.faults["socket cut"] += 1

    # --- Weather ----------------------------------------------------------------

    async def _weather(self) -> None:
        kinds: list[tuple[str, Callable[[], Coroutine[Any, Any, bool | None]]]] = [
            *[("web killed", self._kill_web)] * 4,
            *[("worker killed", self._kill_worker)] * 3,
            ("Valkey restarted", self._restart_valkey),
            ("Valkey killed", self._kill_valkey),
            ("Valkey flushed", self._flush_valkey),
        ]
        if self.restart_database is not None:
            kinds.append(("PostgreSQL restarted", self._restart_database))
        while not self._all_asked.is_set():
            round_ = kinds[:]
            self.chance.shuffle(round_)
            for name, fault in round_:
                await asyncio.sleep(self.chance.uniform(*self.plan.pause))
                if self._all_asked.is_set():
                    return
                if await fault() is not False:
                    self.verdict.faults[name] += 1

    async def _kill_web(self) -> bool:
        return await self._kill(self.webs, self._start_web)

    async def _kill_worker(self) -> bool:
        return await self._kill(self.workers, self._start_worker)

    async def _kill(
        self, forks: list[Fork | None], start: Callable[[int], Coroutine[Any, Any, None]]
    ) -> bool:
        """Kill one, most times one that is streaming. False: none is there, or none has come to stream."""
        first, is_aimed = self.chance.randrange(len(forks)), self.chance.random() < AIMED_SHARE
        deadline = time.monotonic() + AIM_SECONDS
        while True:
            alive = [slot for slot, fork in enumerate(forks) if fork is not None]
            alive.sort(key=lambda slot: (slot - first) % len(forks))
            streaming = [slot for slot in alive if await patiently(_is_streaming, forks[slot])]
            found = streaming if is_aimed else alive
            if found:
                break
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.05)
        slot = found[0]
        fork, forks[slot] = forks[slot], None
        assert fork is not None
        if fork.ended.is_set():
            self.verdict.complaints.append(f"{fork.name} had ended by itself")
        self.verdict.streaming_kills += slot in streaming
        fork.kill()
        await asyncio.to_thread(fork.ended.wait, 10)
        self._soon(start(slot))
        return True

    async def _start_web(self, slot: int) -> None:
        web = await asyncio.to_thread(self.world.start_web)
        await asyncio.to_thread(self.world.wait_for_web, web)
        self.webs[slot] = web

    async def _start_worker(self, slot: int) -> None:
        self.workers[slot] = await asyncio.to_thread(self.world.start_worker)

    async def _restart_valkey(self) -> None:
        await asyncio.to_thread(self.valkey.stop)
        await asyncio.to_thread(self.valkey.start)

    async def _kill_valkey(self) -> None:
        process = self.valkey.process
        assert process is not None
        process.kill()
        await asyncio.to_thread(process.wait)
        await asyncio.sleep(self.chance.uniform(0.0, 2.0))
        await asyncio.to_thread(self.valkey.start)

    async def _flush_valkey(self) -> None:
        def flush() -> None:
            with redis.Redis.from_url(self.valkey.url) as client:
                client.flushall()

        await asyncio.to_thread(flush)

    async def _restart_database(self) -> None:
        assert self.restart_database is not None
        await asyncio.to_thread(self.restart_database)

    async def _watch_sweeps(self) -> None:
        """A sweeper that cannot come leaves what died as it is: how long, and what the machine did then."""
        while True:
            silent = await patiently(_unswept_seconds)
            if silent > self.verdict.longest_unswept[0]:
                load = ", ".join(f"{value:.0f}" for value in os.getloadavg())
                self.verdict.longest_unswept = (silent, f", until {time.strftime('%T')}, at load {load}")
            await asyncio.sleep(1)

    def _soon(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- Afterwards ---------------------------------------------------------------

    async def _settle_down(self) -> None:
        """What a lost process held ends with its lease."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while await patiently(_is_anything_open) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)

    async def _judge(self) -> None:
        calls = await asyncio.to_thread(self.world.upstream.calls)
        verdict = self.verdict
        verdict.complaints += await patiently(judge, self.cases, calls, Witness())
        verdict.ends = Counter(case.shown.state for case in self.cases)
        verdict.reconnects = sum(viewer.reconnects for viewer in self.viewers)
        verdict.compared = sum(viewer.compared for viewer in self.viewers)
        verdict.complaints += verdict.pages.complaints
        for viewer in self.viewers:
            verdict.complaints += [f"shown otherwise than sent: {words}" for words in viewer.differing]
            codes = Counter(event["code"] for event in viewer.errors)
            verdict.complaints += [f"error {code}" for code in codes if code != "unavailable"]
        if any(case.shown.state == State.COMPLETED for case in self.cases):
            return
        verdict.complaints.append("no question was answered at all")


async def _stop(viewer: Viewer, shown: Shown) -> None:
    """Until it is heard: a frame on a line that is cut is lost."""
    await shown.streaming.wait()
    while True:
        await viewer.stop(shown)
        await asyncio.sleep(1)


def _is_streaming(fork: Fork | None) -> bool:
    pid = None if fork is None else fork.pid
    return Generation.objects.filter(state=State.STREAMING, owner__contains=f":{pid}:").exists()


def _unswept_seconds() -> float:
    pulse = Pulse.objects.filter(name=SWEEPER).first()
    return 0.0 if pulse is None else (timezone.now() - pulse.beaten_at).total_seconds()


def _is_anything_open() -> bool:
    return Generation.objects.live().exists() or Hold.objects.alive().exists()
