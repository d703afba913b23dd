"""Feedback: what the owner of a conversation thought of one answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.conf import settings
from django.db import models
from django.db.models import Count, Q
from django.utils import timezone

from conversations.models.ids import new_id

WORDS_LIMIT_CHARACTERS = 1000


class Verdict(models.TextChoices):
    UP = "up", "good"
    DOWN = "down", "bad"


class FeedbackQuerySet(models.QuerySet["Feedback"]):
    def counts_by_model(self) -> Iterable[Mapping[str, object]]:
        """``{model, good, bad, with_words}``, the most judged model first."""
        return (
            self.values("model")
            .annotate(
                good=Count("pk", filter=Q(verdict=Verdict.UP)),
                bad=Count("pk", filter=Q(verdict=Verdict.DOWN)),
                with_words=Count("pk", filter=~Q(words="")),
                all=Count("pk"),
            )
            .order_by("-all", "model")
        )


class Feedback(models.Model):
    """It goes with its answer: who deletes a conversation takes back what was said of it."""

    Verdict = Verdict

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="feedback")
    generation = models.ForeignKey(
        "conversations.Generation", on_delete=models.CASCADE, related_name="feedback"
    )
    model = models.CharField(max_length=200, help_text="The model that wrote the answer.")
    verdict = models.CharField(max_length=4, choices=Verdict.choices)
    words = models.CharField(max_length=WORDS_LIMIT_CHARACTERS, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = FeedbackQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "feedback"
        constraints = (
            models.UniqueConstraint(fields=["user", "generation"], name="one_feedback_per_user_and_answer"),
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="feedback_verdict_known"),
        )
        indexes = (models.Index(fields=["created_at"], name="feedback_by_time"),)

    def __str__(self) -> str:
        return f"{self.verdict} for {self.model}"
