"""Pulses: when a part of the site that nobody sees last did its work."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

SWEEPER = "sweeper"
WORKER = "worker"


class Pulse(models.Model):
    """One row a part. Silence of a part that has ever been heard is an incident."""

    name = models.CharField(max_length=32, primary_key=True)
    beaten_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} at {self.beaten_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def beat(cls, name: str) -> None:
        cls.objects.update_or_create(name=name, defaults={"beaten_at": timezone.now()})
