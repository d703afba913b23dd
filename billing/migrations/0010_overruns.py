"""How calls kept to their holds, by day and model; and the running periods of budgets by their end."""

# ruff: noqa: S608 - constant text alone

from __future__ import annotations

from django.db import migrations, models

_IN = "e.input_uncached_tokens + e.cache_read_tokens + e.cache_write_tokens + e.tool_prompt_tokens"
_OUT = "e.output_visible_tokens + e.thinking_tokens"
_OVER = f"({_IN} + {_OUT} - h.input_tokens - h.output_cap_tokens)"
_COST = "(e.cost_nanousd - h.cost_nanousd)"
ADD_UP = f"""
INSERT INTO billing_overrundayrollup (local_day, model, calls, over_calls, over_tokens, over_nanousd,
    held_input_tokens, held_output_tokens, input_tokens, output_tokens)
SELECT e.local_day, e.model, COUNT(*), SUM(CASE WHEN {_OVER} > 0 OR {_COST} > 0 THEN 1 ELSE 0 END),
    SUM(CASE WHEN {_OVER} > 0 THEN {_OVER} ELSE 0 END), SUM(CASE WHEN {_COST} > 0 THEN {_COST} ELSE 0 END),
    SUM(h.input_tokens), SUM(h.output_cap_tokens), SUM({_IN}), SUM({_OUT})
FROM billing_ledgerentry e JOIN billing_hold h ON h.id = e.hold_id
WHERE e.kind = 'usage' AND NOT EXISTS (SELECT 1 FROM billing_pendingrollup p WHERE p.entry_id = e.id)
GROUP BY e.local_day, e.model
"""
SUMS = (
    *("calls", "over_calls", "over_tokens", "over_nanousd"),
    *("held_input_tokens", "held_output_tokens", "input_tokens", "output_tokens"),
)


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_name_usage")]

    operations = [
        migrations.CreateModel(
            name="OverrunDayRollup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("local_day", models.DateField()),
                ("model", models.CharField(max_length=120)),
                *((name, models.BigIntegerField(default=0)) for name in SUMS),
            ],
        ),
        migrations.AddIndex(
            model_name="bucket", index=models.Index(fields=["period_end"], name="bucket_by_period_end")
        ),
        migrations.AddConstraint(
            model_name="overrundayrollup",
            constraint=models.UniqueConstraint(
                models.F("local_day"), models.F("model"), name="overrundayrollup_key"
            ),
        ),
        migrations.RunSQL(ADD_UP, migrations.RunSQL.noop),
    ]
