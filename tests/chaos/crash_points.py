"""SIGKILL of a real web server or worker at each named point of an answer's life.

    make crash-points ARGS="--seeds 10"

One *wave* per seed: for every point one process is started with a fuse at it (``fuses.py``) and given one
to three questions; the seed picks the variant of the point, the process, the passing at which the fuse
burns and the lengths. All of them die while nobody sweeps. Then a healthy worker starts, as an operator
would start it, and everything must come to its end: ``judge.py`` says what that means.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

from celery import current_app

from billing.models import Hold
from conversations import turns
from conversations.database import in_database
from conversations.hints import RUN_GENERATION
from conversations.models import Generation
from conversations.queueing import Order
from tests.chaos import fuses
from tests.chaos.cast import offer, person, site_budget
from tests.chaos.judge import Case, Witness, judge
from tests.chaos.viewer import Shown, Viewer
from tests.chaos.world import World
from tests.forking import Fork

Where = Literal["web", "worker", "either", "sweeper"]
Act = Literal["", "stop", "stop_waiting", "stop_elsewhere"]

TOKENS = (200, 240, 300)
PLAIN = {tokens: f"60-{tokens}-6" for tokens in TOKENS}
BUSY = {tokens: f"20-{tokens}-6!429x1@1" for tokens in TOKENS}
LONG_BUSY = {tokens: f"20-{tokens}-6!429x1@5" for tokens in TOKENS}
GONE = {tokens: f"20-{tokens}-6!404" for tokens in TOKENS}
MODELS = [*PLAIN.values(), *BUSY.values(), *LONG_BUSY.values()]
BURN_SECONDS = 60.0
END_SECONDS = 150.0
CUT = frozenset({"completed", "interrupted"})
STOPPED = frozenset({"completed", "interrupted", "stopped"})


@dataclass(frozen=True)
class Way:
    """One way to meet a point."""

    trigger: str
    where: Where = "web"
    busy: bool = False  # the provider refuses the first call, so there is a wait and a second hold
    gone: bool = False  # the provider no longer has the model, and another one stands in
    act: Act = ""
    may_end: frozenset[str] = CUT
    again: bool = False  # not at the first hold of a question, but at that of its second attempt
    passes: bool = True  # any of the questions may be the one that meets it


PLACE = "billing.holds.place_hold"
DISPATCH = "billing.holds.dispatch_hold"
REQUEST = "aiohttp.client.ClientSession._request"
TAKE = "conversations.running.Attempt.take"
FLUSH = "conversations.stream_log.LogWriter._flush"
BEATS = "conversations.statements.store_beats"
SETTLE = "billing.settlements._settle"
HINT = "conversations.hints.tell_worker"
ANNOUNCE = "conversations.runtime.Runtime.announce_end"
LOST = "conversations.endings.pay_without_claim"
STOP = "conversations.stops.stop_turn"
BUCKETS = "billing.buckets.open_missing"

POINTS: dict[str, tuple[Way, ...]] = {
    "before the hold's commit": (
        Way(f"commit-before:{PLACE}"),
        Way(f"commit-before:{PLACE}", busy=True, again=True),
    ),
    "after the hold's commit": (
        Way(f"commit-after:{PLACE}"),
        Way(f"commit-after:{PLACE}", busy=True, again=True),
    ),
    "dispatch mark": (
        Way(f"commit-before:{DISPATCH}", "either"),
        Way(f"commit-after:{DISPATCH}", "either"),
    ),
    "HTTP send": (
        Way(f"before:{REQUEST}", "either"),
        Way(f"after:{REQUEST}", "either"),
    ),
    "first token": (
        Way(f"before:{TAKE}", "either"),
        Way(f"after:{TAKE}", "either"),
        Way(f"after:{FLUSH}", "either"),
    ),
    "checkpoint": (
        Way(f"commit-before:{BEATS}", "either", passes=False),
        Way(f"commit-after:{BEATS}", "either", passes=False),
    ),
    "finish": (
        Way("before:conversations.endings.finish", "either"),
        Way("after:conversations.statements.end_claimed", "either"),
    ),
    "inside the settlement": tuple(Way(f"inside:{SETTLE}:{number}", "either") for number in range(1, 7)),
    "after the settlement's commit": (Way(f"commit-after:{SETTLE}", "either"),),
    "before a hint": (
        Way(f"before:{HINT}", busy=True),
        Way(f"before:{ANNOUNCE}", "either"),
    ),
    "after a hint": (
        Way(f"after:{HINT}", busy=True),
        Way(f"after:{ANNOUNCE}", "either"),
    ),
    "sweeper": (
        Way(f"commit-before:{LOST}", "sweeper"),
        Way(f"commit-after:{LOST}", "sweeper"),
        Way(f"inside:{LOST}:2", "sweeper"),
        Way("after:conversations.sweeper._tell", "sweeper"),
    ),
    "stop": (
        Way(f"commit-before:{SETTLE}", act="stop", may_end=STOPPED),
        Way(f"commit-after:{SETTLE}", act="stop", may_end=STOPPED),
        Way(f"before:{STOP}", act="stop_waiting", busy=True, may_end=STOPPED),
        Way(f"inside:{STOP}:2", act="stop_waiting", busy=True, may_end=STOPPED),
        Way(f"after:{STOP}", act="stop_waiting", busy=True, may_end=STOPPED),
        Way(f"inside:{STOP}:2", act="stop_elsewhere", may_end=STOPPED, passes=False),
        Way(f"after:{STOP}", act="stop_elsewhere", may_end=STOPPED, passes=False),
    ),
    "fallback": (
        Way("inside:conversations.fallbacks.fall_back:2", "either", gone=True),
        Way("inside:conversations.fallbacks.fall_back:9", "either", gone=True),
        Way("commit-before:conversations.stand_ins.take_over", "either", gone=True),
        Way("commit-after:conversations.stand_ins.take_over", "either", gone=True),
    ),
    "bucket creation": (
        Way(f"after:{BUCKETS}"),
        Way(f"commit-before:{BUCKETS}"),
        Way(f"commit-after:{BUCKETS}"),
    ),
}


@dataclass
class Verdict:
    """Of a whole run."""

    points: int = 0
    questions: int = 0
    reconnects: int = 0
    complaints: list[str] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)


@dataclass
class _Target:
    """A process that is to die, and the questions that it was given."""

    name: str
    way: Way
    fork: Fork
    cases: list[Case] = field(default_factory=list)
    viewers: list[Viewer] = field(default_factory=list)


class Wave:
    """All points once, at the same time, by one seed."""

    def __init__(self, world: World, seed: int, points: Sequence[str]) -> None:
        self.world, self.seed, self.points = world, seed, points
        self.random = random.Random(seed)
        self.witness = world.folder / f"witness-{seed}"
        self.targets: list[_Target] = []
        self._stack = AsyncExitStack()
        self._healthy: Fork | None = None

    async def run(self) -> Verdict:
        async with self._stack:
            self._healthy = await asyncio.to_thread(self.world.start_web)
            await asyncio.to_thread(self.world.wait_for_web, self._healthy)
            async with asyncio.TaskGroup() as group:
                for name in self.points:
                    group.create_task(self._aim(name))
            unburnt = await self._burn()
            worker = await asyncio.to_thread(self.world.start_worker)
            late = await self._end()
            verdict = Verdict(points=len(self.targets))
            verdict.complaints = unburnt + late
            await self._judge(verdict)
            worker.kill()
            self._healthy.kill()
        return verdict

    async def _aim(self, name: str) -> None:
        """Start a process with a fuse at the point and bring it there."""
        chance = random.Random(f"{self.seed} {name}")
        way = chance.choice(POINTS[name])
        where = chance.choice(("web", "worker")) if way.where == "either" else way.where
        questions = chance.randint(1, 3)
        passes = chance.randint(1, questions) if way.passes and where != "sweeper" else 1
        fuse = fuses.Order(way.trigger, str(self.witness), passes + (questions if way.again else 0))
        if where == "sweeper":
            victim_order = fuses.Order(
                chance.choice((f"commit-after:{BEATS}", f"after:{REQUEST}")), str(self.witness)
            )
            victim = await asyncio.to_thread(self.world.start_web, fuse=victim_order)
            sweeper = await asyncio.to_thread(self.world.start_worker, fuse=fuse, queues="sweep")
            self.targets.append(_Target(name, way, sweeper))
            target = _Target(f"{name} (its victim)", way, victim)
        elif where == "worker":
            line = f"line-{uuid.uuid4().hex[:8]}"
            fork = await asyncio.to_thread(self.world.start_worker, fuse=fuse, queues=line, beat=False)
            target = _Target(name, way, fork)
        else:
            target = _Target(name, way, await asyncio.to_thread(self.world.start_web, fuse=fuse))
        self.targets.append(target)
        if where == "worker":
            await self._ask_worker(target, questions, line, chance)
        else:
            await asyncio.to_thread(self.world.wait_for_web, target.fork)
            await self._ask_web(target, questions, chance)

    async def _ask_web(self, target: _Target, questions: int, chance: random.Random) -> None:
        for number in range(questions):
            viewer, name = await self._viewer(target, number)
            tokens, model = self._model(target.way, chance)
            if target.way.act == "stop_elsewhere":
                await self._stop_elsewhere(target, viewer, name, tokens, model)
                continue
            shown = await viewer.ask(f"Question {uuid.uuid4()}", model)
            target.cases.append(Case(name, tokens, shown, target.way.may_end))
            if target.way.act == "stop":
                self._later(_stop_when_streaming(viewer, shown))
            elif target.way.act == "stop_waiting":
                self._later(_stop_when_waiting(viewer, shown))

    async def _stop_elsewhere(
        self, target: _Target, viewer: Viewer, name: str, tokens: int, model: str
    ) -> None:
        """The answer is written by the healthy process; the one that dies is asked to stop it."""
        assert self._healthy is not None
        healthy = self._healthy
        asker = Viewer(viewer.conversation_id, viewer.secret, lambda: healthy.address)
        await self._stack.enter_async_context(asker)
        asked = await asker.ask(f"Question {uuid.uuid4()}", model)
        await asyncio.wait_for(asked.streaming.wait(), BURN_SECONDS)
        shown = viewer.expect(asked.turn_id, asked.text)
        shown.generation_id = asked.generation_id
        target.cases.append(Case(name, tokens, shown, target.way.may_end))
        await viewer.stop(shown)

    async def _ask_worker(self, target: _Target, questions: int, line: str, chance: random.Random) -> None:
        for number in range(questions):
            viewer, name = await self._viewer(target, number, healthy=True)
            tokens, model = self._model(target.way, chance)
            turn_id, text = uuid.uuid4(), f"Question {uuid.uuid4()}"
            target.cases.append(Case(name, tokens, viewer.expect(turn_id, text), target.way.may_end))
            started = await in_database(
                turns.start_turn,
                user_id=viewer.user_id,
                conversation_id=viewer.conversation_id,
                turn_id=turn_id,
                order=Order(text, model),
            )
            viewer.turns[str(turn_id)].generation_id = str(started.generation_id)
            await asyncio.to_thread(
                current_app.send_task, RUN_GENERATION, args=[str(started.generation_id)], queue=line
            )

    async def _viewer(self, target: _Target, number: int, *, healthy: bool = False) -> tuple[Viewer, str]:
        name = f"seed {self.seed}, {target.name}, {target.way.trigger}, question {number + 1}"
        who = await in_database(person, f"{self.seed}-{uuid.uuid4().hex[:8]}")

        def address() -> str:
            assert self._healthy is not None
            return self._healthy.address if healthy or target.fork.ended.is_set() else target.fork.address

        viewer = Viewer(who.conversation_id, who.secret, address, user_id=who.user_id)
        await self._stack.enter_async_context(viewer)
        await viewer.connected()
        target.viewers.append(viewer)
        return viewer, name

    def _model(self, way: Way, chance: random.Random) -> tuple[int, str]:
        tokens = chance.choice(TOKENS)
        if way.gone:
            return tokens, f"openai:{GONE[tokens]}"
        # A wait that is over before it is stored is taken up at once, by the process itself: nobody is told.
        is_long = way.act == "stop_waiting" or way.trigger.endswith(HINT)
        names = LONG_BUSY if is_long else BUSY if way.busy else PLAIN
        return tokens, f"openai:{names[tokens]}"

    def _later(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(act)
        self._stack.callback(task.cancel)

    async def _burn(self) -> list[str]:
        """Until every process has killed itself."""
        deadline = time.monotonic() + BURN_SECONDS
        for target in self.targets:
            left = max(deadline - time.monotonic(), 0.0)
            if not await asyncio.to_thread(target.fork.ended.wait, left):
                target.fork.kill()
        burnt = Witness.read(self.witness).burnt
        for target in self.targets:
            target.fork.kill()  # what it had started itself
        return [
            f"seed {self.seed}, {target.name}, {target.way.trigger}: never came to it"
            for target in self.targets
            if target.fork.pid not in burnt
        ]

    async def _end(self) -> list[str]:
        """Until every client shows an end."""
        pending = [case for target in self.targets for case in target.cases]
        try:
            async with asyncio.timeout(END_SECONDS):
                for case in pending:
                    await case.shown.over.wait()
                while await in_database(_is_anything_open):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return [f"{case.name}: no end" for case in pending if not case.shown.over.is_set()]
        return []

    async def _judge(self, verdict: Verdict) -> None:
        cases = [case for target in self.targets for case in target.cases]
        calls = await asyncio.to_thread(self.world.upstream.calls)
        verdict.complaints += await in_database(judge, cases, calls, Witness.read(self.witness))
        verdict.questions = len(cases)
        for case in cases:
            verdict.ends[case.shown.state] = verdict.ends.get(case.shown.state, 0) + 1
        viewers = [viewer for target in self.targets for viewer in target.viewers]
        verdict.reconnects = sum(viewer.reconnects for viewer in viewers)


async def _stop_when_streaming(viewer: Viewer, shown: Shown) -> None:
    await shown.streaming.wait()
    await viewer.stop(shown)


async def _stop_when_waiting(viewer: Viewer, shown: Shown) -> None:
    await shown.waiting.wait()
    await viewer.stop(shown)


def _is_anything_open() -> bool:
    return Generation.objects.live().exists() or Hold.objects.alive().exists()


async def run(
    world: World, *, seeds: Sequence[int], points: Sequence[str], say: Callable[[str], None]
) -> Verdict:
    """One wave for each seed; the verdict of them all."""
    await in_database(offer, *MODELS)
    for tokens in TOKENS:
        await in_database(offer, GONE[tokens], stand_in=PLAIN[tokens])
    await in_database(site_budget)
    total = Verdict()
    for seed in seeds:
        begun = time.monotonic()
        one = await Wave(world, seed, points).run()
        total.points += one.points
        total.questions += one.questions
        total.reconnects += one.reconnects
        total.complaints += one.complaints
        for state, count in one.ends.items():
            total.ends[state] = total.ends.get(state, 0) + count
        ends = ", ".join(f"{count} {state}" for state, count in sorted(one.ends.items()))
        say(
            f"seed {seed}: {one.points} processes killed, {one.questions} questions ({ends}), "
            f"{one.reconnects} reconnects, {len(one.complaints)} complaints, "
            f"{time.monotonic() - begun:.0f} s"
        )
        for complaint in one.complaints:
            say(f"    {complaint}")
    return total
