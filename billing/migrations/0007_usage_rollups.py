"""Rollups by conversation, purpose and kind of turn, and rollups of the site.

What is in the ledger is added up anew for each user; the rollups of the site start empty with every entry
pending, and the sweeper folds them.
"""

from __future__ import annotations

# ruff: noqa: S608 - only constants are interpolated
from django.db import migrations, models

SUMMED = (
    "input_uncached_tokens, cache_read_tokens, cache_write_tokens, tool_prompt_tokens, output_visible_tokens,"
    " thinking_tokens, cost_nanousd"
)
SUMS = (
    "SUM(CASE WHEN kind = 'usage' THEN 1 ELSE 0 END),"
    " SUM(CASE WHEN kind = 'usage' AND estimated THEN 1 ELSE 0 END),"
    " SUM(CASE WHEN kind = 'usage' AND cost_nanousd IS NULL THEN 1 ELSE 0 END),"
    " SUM(input_uncached_tokens), SUM(cache_read_tokens), SUM(cache_write_tokens), SUM(tool_prompt_tokens),"
    " SUM(output_visible_tokens), SUM(thinking_tokens), SUM(COALESCE(cost_nanousd, 0))"
)
ROLLED = "kind IN ('usage', 'trueup', 'adjust', 'refund')"
OLD_KEY = "user_id, local_day, model, bearer"
NEW_KEY = "user_id, local_day, conversation_id, model, bearer, purpose, turn_kind"


def _add_up(key: str) -> str:
    return (
        f"INSERT INTO billing_usagerollup ({key}, group_id, calls, estimated_calls, unpriced_calls, {SUMMED})"
        f" SELECT {key}, COALESCE(group_id, 0), {SUMS} FROM billing_ledgerentry WHERE {ROLLED}"
        f" GROUP BY {key}, COALESCE(group_id, 0)"
    )


ADD_UP_OLD, ADD_UP_NEW = _add_up(OLD_KEY), _add_up(NEW_KEY)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_limit_requests"),
    ]

    operations = [
        migrations.CreateModel(
            name="PendingRollup",
            fields=[
                ("entry_id", models.UUIDField(primary_key=True, serialize=False)),
            ],
        ),
        migrations.CreateModel(
            name="SiteDayRollup",
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
                ("local_day", models.DateField()),
                ("model", models.CharField(max_length=120)),
                ("purpose", models.CharField(blank=True, default="", max_length=24)),
                ("turn_kind", models.CharField(blank=True, default="", max_length=16)),
            ],
        ),
        migrations.CreateModel(
            name="SiteHourRollup",
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
                ("hour", models.DateTimeField()),
                ("model", models.CharField(max_length=120)),
                ("purpose", models.CharField(blank=True, default="", max_length=24)),
                ("turn_kind", models.CharField(blank=True, default="", max_length=16)),
            ],
        ),
        migrations.CreateModel(
            name="UserDayRollup",
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
                ("local_day", models.DateField()),
                ("user_id", models.BigIntegerField()),
                ("group_id", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="UserMonthRollup",
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
                ("month", models.DateField()),
                ("user_id", models.BigIntegerField()),
                ("group_id", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="usagerollup",
            name="usagerollup_key",
        ),
        migrations.RemoveIndex(
            model_name="ledgerentry",
            name="entry_by_user",
        ),
        # Not by the schema editor: on SQLite it would copy the table, and lose the triggers that guard it.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE billing_ledgerentry ADD COLUMN turn_kind varchar(16) NOT NULL DEFAULT ''",
                    "ALTER TABLE billing_ledgerentry DROP COLUMN turn_kind",
                )
            ],
            state_operations=[
                migrations.AddField(
                    model_name="ledgerentry",
                    name="turn_kind",
                    field=models.CharField(blank=True, default="", max_length=16),
                )
            ],
        ),
        migrations.RunSQL("DELETE FROM billing_usagerollup", ADD_UP_OLD),
        migrations.AddField(
            model_name="usagerollup",
            name="conversation_id",
            field=models.UUIDField(default="00000000-0000-0000-0000-000000000000"),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="usagerollup",
            name="purpose",
            field=models.CharField(blank=True, default="", max_length=24),
        ),
        migrations.AddField(
            model_name="usagerollup",
            name="turn_kind",
            field=models.CharField(blank=True, default="", max_length=16),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["user_id", "-local_day", "-id"], name="entry_by_user_day"),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["-local_day", "-id"], name="entry_by_day"),
        ),
        migrations.AddConstraint(
            model_name="usagerollup",
            constraint=models.UniqueConstraint(
                models.F("user_id"),
                models.F("local_day"),
                models.F("conversation_id"),
                models.F("model"),
                models.F("bearer"),
                models.F("group_id"),
                models.F("purpose"),
                models.F("turn_kind"),
                name="usagerollup_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="sitedayrollup",
            constraint=models.UniqueConstraint(
                models.F("local_day"),
                models.F("model"),
                models.F("bearer"),
                models.F("purpose"),
                models.F("turn_kind"),
                name="sitedayrollup_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="sitehourrollup",
            constraint=models.UniqueConstraint(
                models.F("hour"),
                models.F("model"),
                models.F("bearer"),
                models.F("purpose"),
                models.F("turn_kind"),
                name="sitehourrollup_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="userdayrollup",
            constraint=models.UniqueConstraint(
                models.F("local_day"),
                models.F("user_id"),
                models.F("group_id"),
                models.F("bearer"),
                name="userdayrollup_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="usermonthrollup",
            constraint=models.UniqueConstraint(
                models.F("month"),
                models.F("user_id"),
                models.F("group_id"),
                models.F("bearer"),
                name="usermonthrollup_key",
            ),
        ),
        migrations.RunSQL(ADD_UP_NEW, "DELETE FROM billing_usagerollup"),
        migrations.RunSQL(
            f"INSERT INTO billing_pendingrollup (entry_id) SELECT id FROM billing_ledgerentry WHERE {ROLLED}",
            migrations.RunSQL.noop,
        ),
    ]
