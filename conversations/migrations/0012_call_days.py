"""Sums of calls by the day, made out of those by the hour."""

# ruff: noqa: S608 - constant text alone

from __future__ import annotations

from typing import Any

from django.db import migrations, models

CALL_KEYS = ("provider", "model", "purpose", "outcome", "code")
CALL_SUMS = (
    *("calls", "retries", "fallbacks", "waited_ms", "duration_ms", "reported_calls"),
    *("input_estimate_tokens", "input_tokens", "output_tokens"),
)
LATENCY_KEYS = ("provider", "model", "measure", "bound_ms")
LATENCY_SUMS = ("calls", "total_ms")
DAY = {"postgresql": "CAST(hour AT TIME ZONE 'UTC' AS date)", "sqlite": "substr(hour, 1, 10)"}


def add_up(apps: Any, editor: Any) -> None:
    for name, keys, sums in (("latency", LATENCY_KEYS, LATENCY_SUMS), ("call", CALL_KEYS, CALL_SUMS)):
        day, listed = DAY[editor.connection.vendor], ", ".join(keys)
        editor.execute(
            f"INSERT INTO conversations_{name}day (day, {listed}, {', '.join(sums)})"
            f" SELECT {day}, {listed}, {', '.join(f'SUM({one})' for one in sums)}"
            f" FROM conversations_{name}hour GROUP BY {day}, {listed}"
        )


class Migration(migrations.Migration):
    dependencies = [
        ("conversations", "0011_thread_revision"),
    ]

    operations = [
        migrations.CreateModel(
            name="CallDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(max_length=32)),
                ("model", models.CharField(max_length=200)),
                ("purpose", models.CharField(max_length=24)),
                ("outcome", models.CharField(max_length=12)),
                ("code", models.CharField(blank=True, max_length=40)),
                ("calls", models.BigIntegerField()),
                ("retries", models.BigIntegerField()),
                ("fallbacks", models.BigIntegerField()),
                ("waited_ms", models.BigIntegerField()),
                ("duration_ms", models.BigIntegerField()),
                ("reported_calls", models.BigIntegerField()),
                ("input_estimate_tokens", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("day", models.DateField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "provider", "model", "purpose", "outcome", "code"), name="callday_key"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LatencyDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(max_length=32)),
                ("model", models.CharField(max_length=200)),
                (
                    "measure",
                    models.CharField(
                        choices=[
                            ("first_token", "call to first token"),
                            ("call", "call to its good end"),
                            ("token_interval", "mean time between tokens of a call"),
                            ("answer", "question to complete answer, waits included"),
                        ],
                        max_length=16,
                    ),
                ),
                ("bound_ms", models.PositiveIntegerField()),
                ("calls", models.BigIntegerField()),
                ("total_ms", models.BigIntegerField()),
                ("day", models.DateField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "provider", "model", "measure", "bound_ms"), name="latencyday_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("measure__in", ["first_token", "call", "token_interval", "answer"])
                        ),
                        name="latencyday_measure",
                    ),
                ],
            },
        ),
        migrations.RunPython(add_up, migrations.RunPython.noop),
    ]
