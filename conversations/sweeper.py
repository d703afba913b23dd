"""The sweeper: one pass over what nobody looks after any more.

Answers whose process died are closed or queued anew, due ones are told to a worker again, lapsed holds
are returned. Each step is a compare-and-set, so any number of sweepers may run at once.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass

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
from conversations.state_log import log_end, log_state
from conversations.stream_log import read_log
from conversations.summary_sweep import sweep_summaries

logger = logging.getLogger(__name__)

LIMIT = 500


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
    swept = Swept()
    now = timezone.now()
    lapsed = Generation.objects.lapsed(now).select_related("turn", "conversation").order_by("pk")
    for generation in lapsed[:LIMIT]:
        try:
            _close_or_revive(generation, swept)
        except Exception:
            # One that cannot be closed must not keep the others from it.
            logger.exception("generation %s could not be swept", generation.pk)
    for generation in Generation.objects.undecided(now).select_related("turn").order_by("pk")[:LIMIT]:
        ended = endings.close_undecided(generation.pk)
        if ended is not None:
            _announce(generation, ended)
            swept.closed += 1
    swept.woken = fallbacks.wake_recovered(now=now, limit=LIMIT)
    # What was just revived is due at once.
    for generation in Generation.objects.due(timezone.now()).order_by("pk")[:LIMIT]:
        swept.told += _tell(generation)
    swept.summaries = sweep_summaries(limit=LIMIT)
    swept.expired_holds = len(expire_holds(limit=LIMIT))
    expire_grants(limit=LIMIT)
    fold_pending()
    swept.deleted = Conversation.objects.forgotten(now).delete_limited(LIMIT)
    Pulse.beat(SWEEPER)
    if any(asdict(swept).values()):
        logger.info("swept", extra=asdict(swept))
    return swept


def _close_or_revive(generation: Generation, swept: Swept) -> None:
    """A crash before the first word that anybody may have seen is repeated; after it, the words stay."""
    deltas = read_log(generation.pk, generation.epoch)
    text, seq = generation.text, generation.seq
    if len(deltas) > seq:
        text, seq = "".join(deltas), len(deltas)
    if seq == 0 and generation.state == State.RUNNING:
        if waits.revive_lapsed(generation):
            swept.revived += 1
            log_state(
                "waiting",
                generation_id=generation.pk,
                model=generation.model,
                attempt=generation.attempts,
                code="server_lost",
            )
        return
    ended = endings.close_lapsed(generation, text=text, seq=seq)
    if ended is None:
        return
    swept.closed += 1
    log_end(generation.pk, ended, attempt=generation.attempts)
    _announce(generation, ended)


def _announce(generation: Generation, ended: Ended) -> None:
    topic = conversation_topic(generation.conversation_id)
    notice = ended_notice(generation.pk, generation.conversation_id, str(generation.turn.turn_id))
    publish_from_thread(topic, notice)
    publish_from_thread(user_topic(ended.user_id), *events.budgets_changed(ended.meters))


def _tell(generation: Generation) -> bool:
    """Tell a worker, once per sweep however many sweepers there are."""
    now = timezone.now()
    won = Generation.objects.due(now).filter(pk=generation.pk).update(notified_at=now)
    return bool(won) and tell_worker(generation.pk)
