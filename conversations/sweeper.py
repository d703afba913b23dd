"""The sweeper: one pass over what nobody looks after any more.

Answers whose process died are closed or queued anew, due ones are told to a worker again, lapsed holds
are returned. Each step is a compare-and-set, so any number of sweepers may run at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from billing.grants import expire_grants
from billing.holds import expire_holds
from billing.rollups import fold_pending
from conversations import endings, events, fallbacks, waits
from conversations.attempts import Ended
from conversations.broadcast import conversation_topic, publish_from_thread, user_topic
from conversations.hints import ended_notice, tell_worker
from conversations.models import Conversation, Generation, Pulse, State
from conversations.models.pulse import SWEEPER
from conversations.queue_calls import call_waiting
from conversations.state_log import log_end, log_state
from conversations.stream_log import read_log
from conversations.summary_sweep import sweep_summaries

logger = logging.getLogger(__name__)

LIMIT = 500
# However few retries are allowed, a question survives so many processes.
LEAST_RECOVERIES = 2
# An answer that nobody could close for so long no longer keeps its hold.
CLOSING_GRACE = timedelta(seconds=30)


@dataclass(slots=True)
class Swept:
    """How many of each a pass found."""

    closed: int = 0
    revived: int = 0
    woken: int = 0
    told: int = 0
    summaries: int = 0
    expired_holds: int = 0
    deleted: int = 0


def sweep_once() -> Swept:
    """One pass. A step that fails keeps no other from being made.

    The pulse is then left out, so that operators hear of a sweeper that does not do its work. Raises
    OperationalError and InterfaceError where the database is away: no step would fare better.
    """
    swept, failed = Swept(), False
    for step in STEPS:
        try:
            step(swept)
        except (InterfaceError, OperationalError):
            raise
        except Exception:
            logger.exception("a step of the sweep failed: %s", step.__name__.strip("_"))
            failed = True
    if not failed:
        Pulse.beat(SWEEPER)
    if any(asdict(swept).values()):
        logger.info("swept", extra=asdict(swept))
    return swept


def _sweep_lapsed(swept: Swept) -> None:
    lapsed = Generation.objects.lapsed(timezone.now()).select_related("turn", "conversation").order_by("pk")
    for generation in lapsed[:LIMIT]:
        try:
            _close_or_revive(generation, swept)
        except Exception:
            # One that cannot be closed must not keep the others from it.
            logger.exception("generation %s could not be swept", generation.pk)


def _sweep_undecided(swept: Swept) -> None:
    undecided = Generation.objects.undecided(timezone.now()).select_related("turn").order_by("pk")
    for generation in undecided[:LIMIT]:
        ended = endings.close_undecided(generation.pk)
        if ended is not None:
            _announce(generation, ended)
            swept.closed += 1


def _wake_recovered(swept: Swept) -> None:
    swept.woken = fallbacks.wake_recovered(now=timezone.now(), limit=LIMIT)


def _call_waiting(swept: Swept) -> None:
    swept.woken += call_waiting()


def _tell_of_due(swept: Swept) -> None:
    for generation in Generation.objects.due(timezone.now()).order_by("pk")[:LIMIT]:
        swept.told += _tell(generation)


def _sweep_summaries(swept: Swept) -> None:
    swept.summaries = sweep_summaries(limit=LIMIT)


def _expire_holds(swept: Swept) -> None:
    # An answer and its hold are closed together: else one that only stalled would end well and unpaid.
    claimed = Generation.objects.claimed(timezone.now() - CLOSING_GRACE)
    spare = {hold_id for hold_id in claimed.values_list("hold_id", flat=True) if hold_id is not None}
    swept.expired_holds = len(expire_holds(limit=LIMIT, spare=spare))


def _expire_grants(swept: Swept) -> None:
    expire_grants(limit=LIMIT)


def _fold_rollups(swept: Swept) -> None:
    fold_pending()


def _delete_forgotten(swept: Swept) -> None:
    swept.deleted = Conversation.objects.forgotten(timezone.now()).delete_limited(LIMIT)


STEPS: tuple[Callable[[Swept], None], ...] = (
    _sweep_lapsed,
    _sweep_undecided,
    _wake_recovered,
    _call_waiting,
    _tell_of_due,  # after the first and the third: what these make due is told of at once
    _sweep_summaries,
    _expire_holds,
    _expire_grants,
    _fold_rollups,
    _delete_forgotten,
)


def _close_or_revive(generation: Generation, swept: Swept) -> None:
    """A crash before the first word that anybody may have seen is repeated; after it, the words stay.

    One that every process dies of is not repeated for ever.
    """
    deltas = read_log(generation.pk, generation.epoch)
    text, seq = generation.text, generation.seq
    if len(deltas) > seq:
        text, seq = "".join(deltas), len(deltas)
    may_repeat = generation.attempts_in_round <= max(settings.MAX_RETRIES, LEAST_RECOVERIES)
    if seq == 0 and generation.state == State.RUNNING and may_repeat:
        result = waits.revive_lapsed(generation)
    else:
        result = endings.close_lapsed(generation, text=text, seq=seq)
    if result is None:
        return
    if isinstance(result, Generation):
        swept.revived += 1
        log_state(
            "waiting",
            generation_id=generation.pk,
            model=generation.model,
            attempt=generation.attempts,
            code="server_lost",
        )
        return
    swept.closed += 1
    log_end(generation.pk, result, attempt=generation.attempts)
    _announce(generation, result)


def _announce(generation: Generation, ended: Ended) -> None:
    topic = conversation_topic(generation.conversation_id)
    notice = ended_notice(generation.pk, generation.conversation_id, str(generation.turn.turn_id))
    publish_from_thread(topic, notice)
    over = events.conversation_updated(generation.conversation_id, "busy", busy=False)
    publish_from_thread(user_topic(ended.user_id), over, *events.budgets_changed(ended.meters))


def _tell(generation: Generation) -> bool:
    """Tell a worker, once per sweep however many sweepers there are."""
    now = timezone.now()
    won = Generation.objects.due(now).filter(pk=generation.pk).update(notified_at=now)
    return bool(won) and tell_worker(generation.pk)
