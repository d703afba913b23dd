"""The statements that run for every turn, in SQL.

At 25 turns a second beside 100 streams the ORM's work on these few queries (building, compiling, making
rows into models) took more time than all else together; `make bench-stream` shows it. Everything that is
not on this path uses the ORM. Columns are named here as the models have them: a column that a model
gains without a default must be added to the INSERTs below, and a test fails until it is.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing import sql
from conversations.models import CLAIMED_STATES, LIVE_STATES, State

_LIVE = ", ".join(f"'{state.value}'" for state in LIVE_STATES)
_CLAIMED = ", ".join(f"'{state.value}'" for state in CLAIMED_STATES)

_PLACE = f"""
SELECT c.owner_id, c.system_prompt, c.model, c.title, c.title_source, h.id, h.depth,
  EXISTS (SELECT 1 FROM conversations_generation g WHERE g.conversation_id = c.id AND g.state IN ({_LIVE})),
  EXISTS (SELECT 1 FROM conversations_turn t WHERE t.conversation_id = c.id AND t.turn_id = %s)
FROM conversations_conversation c
  JOIN auth_user u ON u.id = c.owner_id
  LEFT JOIN conversations_turn h ON h.id = c.head_turn_id
WHERE c.id = %s AND c.owner_id = %s AND u.is_active
"""
_EXCHANGES = """
SELECT t.id, t.parent_id, t.text, g.text, g.id, g.continues_id, t.turn_id, t.context_mark, g.context_mark
FROM conversations_turn t LEFT JOIN conversations_generation g ON g.id = t.chosen_id
WHERE t.conversation_id = %s AND t.depth <= %s AND t.depth > %s
"""
_WISHES = """
SELECT c.context_policy, p.context_policy, s.id, s.from_depth, s.until_depth, s.digest, s.text
FROM conversations_conversation c
  LEFT JOIN conversations_preferences p ON p.user_id = c.owner_id
  LEFT JOIN conversations_summary s ON s.conversation_id = c.id AND s.state = 'completed'
WHERE c.id = %s
"""
_TURN_COLUMNS = (
    "id", "conversation_id", "turn_id", "parent_id", "depth", "text", "kind", "chosen_id", "created_at",
)  # fmt: skip
_GENERATION_COLUMNS = (
    "id", "conversation_id", "turn_id", "continues_id", "model", "temperature", "wanted_output_tokens",
    "input_estimate_tokens", "output_cap_tokens", "hold_id", "created_at", "asked_model", "switch_reason",
    "request_hash", "system_tokens", "questions_tokens", "answers_tokens", "summary_tokens", "tools_tokens",
    "state", "round_attempts", "remedy", "waiting_reason", "owner", "epoch", "attempts", "text", "seq",
    "html", "finish_reason", "error_code",
)  # fmt: skip
_NEW_GENERATION = (State.QUEUED.value, 0, "", "", "", 0, 0, "", 0, "", "", "")
_CLAIM_QUEUED = f"""
UPDATE conversations_generation
SET state = '{State.RUNNING.value}', owner = %s, epoch = 1, attempts = 1, lease_expires_at = %s,
  started_at = %s
WHERE id = %s AND epoch = 0 AND state = '{State.QUEUED.value}'
"""
_END = f"""
UPDATE conversations_generation
SET state = %s, text = %s, seq = %s, html = %s, finish_reason = %s, error_code = %s, first_token_ms = %s,
  duration_ms = %s, finished_at = %s, lease_expires_at = NULL, run_after = NULL, waiting_reason = ''
WHERE id = %s AND epoch = %s AND state IN ({_CLAIMED})
"""
# Both engines name the columns of VALUES column1, column2, ...
_BEATS = f"""
UPDATE conversations_generation
SET text = beat.column3, seq = beat.column4, lease_expires_at = %s,
  state = CASE WHEN beat.column4 > 0 THEN '{State.STREAMING.value}' ELSE state END
FROM (VALUES {{rows}}) AS beat
WHERE id = beat.column1 AND epoch = beat.column2 AND state IN ({_CLAIMED})
RETURNING id, stop_requested_at
"""


@dataclass(slots=True)
class Place:
    """A conversation as a send sees it; locked until the transaction ends."""

    conversation_id: uuid.UUID
    owner_id: int
    system_prompt: str
    model: str
    title: str
    title_source: str
    head_id: uuid.UUID | None
    head_depth: int
    is_busy: bool  # an answer is being written
    knows_turn: bool  # the turn id was used here before


@dataclass(frozen=True, slots=True)
class Step:
    """A turn on the way back to the root, and its chosen answer."""

    id: uuid.UUID
    parent_id: uuid.UUID | None
    question: str
    answer: str
    generation_id: uuid.UUID | None
    continues_id: uuid.UUID | None
    turn_id: uuid.UUID
    question_mark: str
    answer_mark: str


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """A finished summary of the turns from one depth to another, on the branch that ``digest`` names."""

    id: uuid.UUID
    from_depth: int
    until_depth: int
    digest: str
    text: str


def read_place(conversation_id: uuid.UUID, *, user_id: int, turn_id: uuid.UUID) -> Place | None:
    """The person's own conversation, or None: unknown, somebody else's, or the person is deactivated."""
    found = sql.rows(
        _PLACE + sql.row_lock("c"), [sql.uuid_in(turn_id), sql.uuid_in(conversation_id), user_id]
    )
    if not found:
        return None
    row = found[0]
    return Place(
        conversation_id=conversation_id,
        owner_id=row[0],
        system_prompt=row[1],
        model=row[2],
        title=row[3],
        title_source=row[4],
        head_id=sql.uuid_out(row[5]),
        head_depth=-1 if row[6] is None else row[6],
        is_busy=bool(row[7]),
        knows_turn=bool(row[8]),
    )


def read_steps(
    conversation_id: uuid.UUID, end_id: uuid.UUID | None, end_depth: int, *, last: int
) -> list[Step]:
    """The ``last`` turns of the branch that ends with ``end_id``, root first."""
    if end_id is None:
        return []
    found = sql.rows(_EXCHANGES, [sql.uuid_in(conversation_id), end_depth, end_depth - last])
    by_id: dict[Any, tuple[Any, ...]] = {row[0]: row for row in found}
    steps: list[Step] = []
    row = by_id.get(sql.uuid_in(end_id))
    while row is not None:
        steps.append(
            Step(
                id=_uuid(row[0]),
                parent_id=sql.uuid_out(row[1]),
                question=row[2],
                answer=row[3] or "",
                generation_id=sql.uuid_out(row[4]),
                continues_id=sql.uuid_out(row[5]),
                turn_id=_uuid(row[6]),
                question_mark=row[7],
                answer_mark=row[8] or "",
            )
        )
        row = by_id.get(row[1])
    steps.reverse()
    return steps


def read_wishes(conversation_id: uuid.UUID) -> tuple[str, list[StoredSummary]]:
    """The policy for the context, "" where nobody chose one, and the summaries of all branches."""
    found = sql.rows(_WISHES, [sql.uuid_in(conversation_id)])
    if not found:
        return "", []
    summaries = [StoredSummary(_uuid(row[2]), *row[3:]) for row in found if row[2] is not None]
    return found[0][0] or found[0][1] or "", summaries


def insert_turn(**values: Any) -> None:
    _insert("conversations_turn", _TURN_COLUMNS, [values[column] for column in _TURN_COLUMNS])


def insert_generation(**values: Any) -> None:
    """A queued generation; ``values`` are the columns that differ from one to the next."""
    given = _GENERATION_COLUMNS[: len(_GENERATION_COLUMNS) - len(_NEW_GENERATION)]
    _insert(
        "conversations_generation",
        _GENERATION_COLUMNS,
        [*(values[column] for column in given), *_NEW_GENERATION],
    )


def point_conversation(place: Place, *, now: datetime) -> None:
    """Write back where the conversation stands now."""
    sql.run(
        "UPDATE conversations_conversation SET head_turn_id = %s, updated_at = %s, model = %s, title = %s,"
        " title_source = %s WHERE id = %s",
        [
            sql.uuid_in(place.head_id),
            sql.time_in(now),
            place.model,
            place.title,
            place.title_source,
            sql.uuid_in(place.conversation_id),
        ],
    )


def touch_conversation(conversation_id: uuid.UUID, *, now: datetime) -> None:
    sql.run(
        "UPDATE conversations_conversation SET updated_at = %s WHERE id = %s",
        [sql.time_in(now), sql.uuid_in(conversation_id)],
    )


def note_kind(conversation_id: uuid.UUID, turn_id: uuid.UUID, *, kind: str) -> None:
    sql.run(
        "UPDATE conversations_turn SET kind = %s WHERE conversation_id = %s AND turn_id = %s AND kind <> %s",
        [kind, sql.uuid_in(conversation_id), sql.uuid_in(turn_id), kind],
    )


def claim_queued(generation_id: uuid.UUID, *, owner: str, lease_until: datetime, now: datetime) -> bool:
    """The first claim of a generation, by the process that has just queued it."""
    params = [owner, sql.time_in(lease_until), sql.time_in(now), sql.uuid_in(generation_id)]
    return sql.run(_CLAIM_QUEUED, params) == 1


def store_beats(
    beats: Sequence[tuple[uuid.UUID, int, str, int]], *, lease_until: datetime
) -> dict[uuid.UUID, bool]:
    """Write (generation, epoch, text, seq) of those that are still claimed by that epoch.

    Returns them with whether their stop was requested.
    """
    params: list[Any] = [sql.time_in(lease_until)]
    for generation_id, epoch, text, seq in beats:
        params += (sql.uuid_in(generation_id), epoch, text, seq)
    found = sql.rows(_BEATS.format(rows=sql.tuples(len(beats), 4)), params)
    return {_uuid(row[0]): row[1] is not None for row in found}


def end_claimed(generation_id: uuid.UUID, *, epoch: int, values: Sequence[Any], now: datetime) -> bool:
    """Write the end if the epoch still holds the claim; ``values`` from state to duration_ms."""
    return sql.run(_END, [*values, sql.time_in(now), sql.uuid_in(generation_id), epoch]) == 1


def _insert(table: str, columns: Sequence[str], values: Sequence[Any]) -> None:
    sql.run(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({sql.marks(len(columns))})",
        [_stored(value) for value in values],
    )


def _stored(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return sql.uuid_in(value)
    if isinstance(value, datetime):
        return sql.time_in(value)
    return value


def _uuid(value: uuid.UUID | str) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)
