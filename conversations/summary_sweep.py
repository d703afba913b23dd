"""Summaries whose process died: closed, with their holds, and told to whoever waits for them."""

from __future__ import annotations

import logging

from django.utils import timezone

from conversations import events
from conversations.broadcast import conversation_topic, publish_from_thread, user_topic
from conversations.models import Summary
from conversations.summaries import close_lapsed_summary
from conversations.summary_events import summary_event

logger = logging.getLogger(__name__)


def sweep_summaries(*, limit: int) -> int:
    """Close at most ``limit`` of them; returns how many."""
    closed = 0
    lapsed = Summary.objects.lapsed(timezone.now()).select_related("conversation").order_by("pk")
    for summary in lapsed[:limit]:
        try:
            ended = close_lapsed_summary(summary)
        except Exception:
            # One that cannot be closed must not keep the others from it.
            logger.exception("summary %s could not be swept", summary.pk)
            continue
        if ended is not None:
            closed += 1
            publish_from_thread(conversation_topic(summary.conversation_id), summary_event(ended.summary))
            publish_from_thread(user_topic(ended.user_id), *events.budgets_changed(ended.meters))
    return closed
