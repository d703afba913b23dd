"""What pages show beside what is stored, as the pages themselves tell it (``tell.js``)."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conversations.models import Generation, State
from tests.chaos.patience import patiently
from tests.chaos.viewer import Shown

ENDED = frozenset({State.COMPLETED, State.STOPPED, State.INTERRUPTED, State.FAILED})
ENDED_HTML_OF = """(id) => {
  const answer = document.querySelector(`.answer[data-generation-id="${id}"]`);
  const ended = ["completed", "stopped", "interrupted", "failed"].includes(answer?.dataset.state);
  return ended ? answer.querySelector("[data-field=prose]").innerHTML : null;
}"""


@dataclass
class Seen:
    """What all pages of a run have gone through."""

    reconnects: int = 0
    loads: int = 0
    compared: int = 0
    drafts: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def summary(self) -> str:
        if not self.loads:
            return "no browser took part"
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        return (
            f"in browsers: {self.reconnects} reconnects of {self.loads} loaded pages ({faults}), "
            f"{self.compared} comparisons with what is stored, {self.drafts} of what was typed"
        )


class Comparison:
    """Of one page: ``asked`` by the question's words, ``complain`` hears of each difference."""

    def __init__(self, asked: Mapping[str, Shown], seen: Seen, complain: Callable[[str], None]) -> None:
        self.asked, self._seen, self._complain = asked, seen, complain
        self._opened = 0

    async def follow(self, told: asyncio.Queue[Mapping[str, Any]]) -> None:
        """Until it is cancelled."""
        while True:
            await self._compare(await told.get())

    async def _compare(self, told: Mapping[str, Any]) -> None:
        if told["why"] == "open":
            self._opened += 1
            self._seen.reconnects += self._opened > 1
        questions = Counter(answer["question"] for answer in told["answers"])
        lost = [q for q, shown in self.asked.items() if shown.generation_id and questions[q] != 1]
        if lost:
            self._complain(f"shown {[questions[question] for question in lost]} times: {lost}")
        for answer in told["answers"]:
            shown = self.asked.get(answer["question"])
            if shown is None:
                self._complain(f"nobody asked {answer['question']!r}")
            elif answer["generation"]:
                await self._compare_answer(answer, shown)
        # An answer may be over before its question is known to be accepted.
        is_over = all(a["state"] in ENDED and a["status"] == "accepted" for a in told["answers"])
        if is_over and (told["mode"] != "send" or told["writing"]):
            self._complain(f"nothing is being written, but the composer is at {told['mode']!r}")

    async def _compare_answer(self, answer: Mapping[str, Any], shown: Shown) -> None:
        self._seen.compared += 1
        shown.generation_id = answer["generation"]
        if not shown.whole.startswith(answer["text"]):
            self._complain(f"{shown.generation_id} is shown as {answer['text']!r}")
        if not shown.over.is_set():
            shown.state, shown.answer = answer["state"], answer["text"]
        if answer["text"]:
            shown.streaming.set()
        if answer["state"] not in ENDED:
            return
        state, text = await patiently(_stored, uuid.UUID(shown.generation_id))
        if (answer["state"], answer["text"]) != (state, text):
            self._complain(
                f"{shown.generation_id} is shown as {answer['state']} with {len(answer['text'])} characters, "
                f"stored as {state} with {len(text)}"
            )
        shown.end = {"text": answer["text"]}
        shown.over.set()


def _stored(generation_id: uuid.UUID) -> tuple[str, str]:
    state, text = Generation.objects.values_list("state", "text").get(pk=generation_id)
    return state, text
