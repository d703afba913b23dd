"""Sums per user and week, made out of those per day."""

# ruff: noqa: S608 - constant text alone

from __future__ import annotations

from typing import Any

from django.db import migrations, models

SUMS = (
    *("calls", "estimated_calls", "unpriced_calls", "input_uncached_tokens", "cache_read_tokens"),
    *("cache_write_tokens", "tool_prompt_tokens", "output_visible_tokens", "thinking_tokens", "cost_nanousd"),
)
MONDAY = {
    "postgresql": "CAST(date_trunc('week', local_day) AS date)",
    "sqlite": "date(local_day, 'weekday 0', '-6 days')",
}


def add_up(apps: Any, editor: Any) -> None:
    editor.execute(
        f"INSERT INTO billing_userweekrollup (week, user_id, group_id, bearer, {', '.join(SUMS)})"
        f" SELECT {MONDAY[editor.connection.vendor]}, user_id, group_id, bearer,"
        f" {', '.join(f'SUM({name})' for name in SUMS)} FROM billing_userdayrollup GROUP BY 1, 2, 3, 4"
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0010_overruns"),
    ]

    operations = [
        migrations.CreateModel(
            name="UserWeekRollup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("bearer", models.CharField(choices=[("user", "user"), ("house", "house")], max_length=8)),
                ("calls", models.BigIntegerField(default=0)),
                ("estimated_calls", models.BigIntegerField(default=0)),
                ("unpriced_calls", models.BigIntegerField(default=0)),
                ("input_uncached_tokens", models.BigIntegerField(default=0)),
                ("cache_read_tokens", models.BigIntegerField(default=0)),
                ("cache_write_tokens", models.BigIntegerField(default=0)),
                ("tool_prompt_tokens", models.BigIntegerField(default=0)),
                ("output_visible_tokens", models.BigIntegerField(default=0)),
                ("thinking_tokens", models.BigIntegerField(default=0)),
                ("cost_nanousd", models.BigIntegerField(default=0)),
                ("user_id", models.BigIntegerField()),
                ("group_id", models.BigIntegerField(default=0)),
                ("week", models.DateField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        models.F("week"),
                        models.F("user_id"),
                        models.F("group_id"),
                        models.F("bearer"),
                        name="userweekrollup_key",
                    )
                ],
            },
        ),
        migrations.RunPython(add_up, migrations.RunPython.noop),
    ]
