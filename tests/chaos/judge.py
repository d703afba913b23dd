"""What must hold after any number of kills: every complaint is one sentence."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.models import F, Sum

from billing.books import GRACE_SECONDS, check_books
from billing.models import Bearer, Bucket, EntryKind, Hold, HoldState, LedgerEntry, Posting
from conversations.models import Generation, State
from tests.chaos.viewer import Shown

DIGITS = 3  # of each numbered token that the scripted provider sends


@dataclass
class Case:
    """A question, what its client showed in the end, and what may have become of it."""

    name: str
    tokens: int
    shown: Shown
    may_end: frozenset[str]


@dataclass
class Witness:
    """What killed processes had noted before they died."""

    safe: dict[str, int] = field(default_factory=dict)  # generation -> seq in the database or the log
    burnt: dict[int, float] = field(default_factory=dict)  # pid -> when

    @classmethod
    def read(cls, path: Path) -> Witness:
        witness = cls()
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            told: dict[str, Any] = json.loads(line)
            if "burnt" in told:
                witness.burnt[told["pid"]] = told["at"]
            for generation_id, seq in {**told.get("stored", {}), **told.get("logged", {})}.items():
                witness.safe[generation_id] = max(witness.safe.get(generation_id, 0), seq)
        return witness


def numbered(count: int) -> str:
    return "".join(f"{number % 1000:03d}" for number in range(count))


def judge(
    cases: Sequence[Case], calls: Mapping[str, Sequence[Mapping[str, Any]]], witness: Witness
) -> list[str]:
    """All complaints; none when everything that was promised was kept."""
    complaints = [complaint for case in cases for complaint in _case(case, calls, witness)]
    return complaints + books()


def books() -> list[str]:
    """Complaints about money alone: nothing held, nothing over, every invariant."""
    found = [f"hold {pk} is still held" for pk in Hold.objects.alive().values_list("pk", flat=True)]
    found += [f"bucket {bucket.pk} holds {bucket.held}" for bucket in Bucket.objects.exclude(held=0)]
    found += [
        f"bucket {bucket.pk} has slack {slack}"
        for bucket in Bucket.objects.exclude(slack=0)
        if (slack := bucket.slack - _corrected(bucket))
    ]
    grace = timedelta(seconds=GRACE_SECONDS)
    late = Hold.objects.filter(closed_at__gt=F("lease_expires_at") + grace)
    found += [
        f"hold {hold.pk} of {hold.generation_id}, placed {hold.created_at:%T}, {hold.state},"
        f" outlived its lease of {hold.lease_expires_at:%T} until {hold.closed_at:%T}"
        for hold in late
    ]
    found += [
        f"books: {finding.invariant.name} {finding.rows[:3]}" for finding in check_books() if finding.rows
    ]
    return found


def _corrected(bucket: Bucket) -> int:
    """What came late from a process that had stalled past its lease: its call was settled by then, with
    what had been checkpointed, and nothing was held for the rest.
    """
    over = Posting.objects.filter(bucket=bucket, entry__kind=EntryKind.TRUEUP).aggregate(over=Sum("over"))
    return int(over["over"] or 0)


def _case(case: Case, calls: Mapping[str, Sequence[Mapping[str, Any]]], witness: Witness) -> Iterator[str]:
    shown = case.shown
    where = f"{case.name} ({shown.generation_id or 'never accepted'})"
    if shown.refusal is not None:
        yield f"{where}: refused with {shown.refusal['code']}"
        return
    generation = Generation.objects.filter(pk=uuid.UUID(shown.generation_id or str(uuid.uuid4()))).first()
    if generation is None:
        yield f"{where}: there is no such answer"
        return
    if generation.is_live:
        yield f"{where}: still {generation.state}"
        return
    if generation.state not in case.may_end:
        yield f"{where}: {generation.state} ({generation.error_code})"
    for complaint in (*_text(case, generation, witness), *_money(case, generation, calls)):
        yield f"{where}: {complaint}"


def _text(case: Case, generation: Generation, witness: Witness) -> Iterator[str]:
    shown = case.shown
    if shown.end is None:
        yield f"its client shows no end, but {shown.state} at {shown.seq} of {generation.seq}"
        return
    if (shown.state, shown.end["text"]) != (generation.state, generation.text):
        yield f"shown as {shown.state} with {len(shown.end['text'])} characters, not as stored"
    whole = numbered(case.tokens)
    if not whole.startswith(generation.text):
        yield "the stored text is not what the provider sent"
    if not whole.startswith(shown.answer):
        yield "the words that were streamed are not what the provider sent"
    if generation.state == State.COMPLETED and generation.text != whole:
        yield f"complete with {len(generation.text) // DIGITS} of {case.tokens} tokens"
    safe = witness.safe.get(str(generation.pk), 0)
    if generation.epoch == 1 and generation.seq < safe:
        yield f"{safe} deltas were safe, {generation.seq} are stored"


def _money(
    case: Case, generation: Generation, calls: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[str]:
    holds = list(Hold.objects.filter(generation_id=generation.pk))
    entries = list(LedgerEntry.objects.filter(generation_id=generation.pk, kind=EntryKind.USAGE))
    made = calls.get(case.shown.text, ())
    refused = sum(call["status"] >= 400 for call in made)
    begun = len(made) - refused
    charged = [entry for entry in entries if entry.bearer == Bearer.USER]
    # A stopped answer is charged where something was sent for it.
    due = {State.COMPLETED: {1}, State.STOPPED: {0, 1}}.get(State(generation.state), {0})
    if len(charged) not in due:
        told = [(entry.bearer, entry.attempt, entry.estimated) for entry in entries]
        yield f"charged {len(charged)} times as {generation.state}: {told} in epoch {generation.epoch}"
    if begun > len(entries):
        yield f"{begun} calls reached the provider, {len(entries)} are in the books"
    settled = [hold for hold in holds if hold.state == HoldState.SETTLED]
    if len(settled) != len(entries):
        yield f"{len(settled)} settled holds, {len(entries)} entries"
    if generation.state == State.COMPLETED and charged:
        entry = charged[0]
        if not entry.estimated and entry.output_visible_tokens + entry.thinking_tokens != case.tokens:
            yield f"charged {entry.output_visible_tokens} tokens of {case.tokens}"
