"""Plans: named sets of budgets that a user gets by being on the plan."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from billing.amounts import amount_words
from billing.models.budget import MAX_LIMIT_UNITS, Period, Unit, default_thresholds


class Plan(models.Model):
    """A named set of per-user budgets. ``free``, ``pro`` and ``unlimited`` are shipped."""

    name = models.SlugField(max_length=40, unique=True)
    label = models.CharField(max_length=80)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.label


class PlanBudget(models.Model):
    """One budget of a plan. Each user of the plan has a ``Budget`` row made from it."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="budgets")
    model = models.CharField(max_length=120, null=True, blank=True)
    unit = models.CharField(max_length=8, choices=Unit.choices)
    limit_units = models.BigIntegerField(null=True, blank=True)
    period = models.CharField(max_length=8, choices=Period.choices)
    hard = models.BooleanField(default=True)
    thresholds = models.JSONField(default=default_thresholds)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "plan", Coalesce("model", models.Value("")), "unit", "period", name="planbudget_key"
            ),
            models.CheckConstraint(
                condition=Q(limit_units__isnull=True)
                | Q(limit_units__gte=0, limit_units__lte=MAX_LIMIT_UNITS),
                name="planbudget_limit_in_range",
            ),
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="planbudget_unit"),
            models.CheckConstraint(condition=Q(period__in=Period.values), name="planbudget_period"),
        ]

    def __str__(self) -> str:
        per = "in total" if self.period == Period.NONE else f"per {self.period}"
        return f"{amount_words(self.unit, self.limit_units)} {per}"
