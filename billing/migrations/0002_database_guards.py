"""What the ORM cannot declare: append-only ledger, immutable prices, states that do not come back,
periods and price versions that do not overlap. Triggers on SQLite; triggers and EXCLUDE on PostgreSQL.

Lifting the append-only triggers is possible only as ``billing/append_only.py`` does it.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

from django.db import migrations

TERMINAL = "('settled', 'released', 'expired')"
RATES = "input_picousd, cache_read_picousd, cache_write_picousd, tool_prompt_picousd, output_picousd, thinking_picousd"

SQLITE = [
    *(
        f"""CREATE TRIGGER billing_{table}_no_{verb} BEFORE {verb.upper()} ON billing_{table}
        BEGIN SELECT RAISE(ABORT, 'billing_{table} is append-only'); END"""
        for table in ("ledgerentry", "posting")
        for verb in ("update", "delete")
    ),
    f"""CREATE TRIGGER billing_priceversion_no_update
        BEFORE UPDATE OF model, above_input_tokens, valid_from, {RATES} ON billing_priceversion
        BEGIN SELECT RAISE(ABORT, 'a price version is never changed, only superseded'); END""",
    f"""CREATE TRIGGER billing_hold_stays_closed BEFORE UPDATE OF state ON billing_hold
        WHEN OLD.state IN {TERMINAL}
        BEGIN SELECT RAISE(ABORT, 'a closed hold stays closed'); END""",
    *(
        f"""CREATE TRIGGER billing_bucket_no_overlap_{verb.split()[0].lower()} BEFORE {verb} ON billing_bucket
        WHEN EXISTS (
            SELECT 1 FROM billing_bucket b WHERE b.budget_id = NEW.budget_id AND b.id <> COALESCE(NEW.id, -1)
            AND (b.period_end IS NULL OR b.period_end > NEW.period_start)
            AND (NEW.period_end IS NULL OR NEW.period_end > b.period_start)
            AND b.period_start <> NEW.period_start)
        BEGIN SELECT RAISE(ABORT, 'periods of a budget overlap'); END"""
        for verb in ("INSERT", "UPDATE OF budget_id, period_start, period_end")
    ),
    *(
        f"""CREATE TRIGGER billing_priceversion_no_overlap_{verb.split()[0].lower()}
        BEFORE {verb} ON billing_priceversion
        WHEN EXISTS (
            SELECT 1 FROM billing_priceversion p WHERE p.model = NEW.model
            AND p.above_input_tokens = NEW.above_input_tokens AND p.id <> COALESCE(NEW.id, -1)
            AND (p.valid_to IS NULL OR p.valid_to > NEW.valid_from)
            AND (NEW.valid_to IS NULL OR NEW.valid_to > p.valid_from))
        BEGIN SELECT RAISE(ABORT, 'price versions overlap'); END"""
        for verb in ("INSERT", "UPDATE OF valid_to")
    ),
]

SQLITE_REVERSE = [
    f"DROP TRIGGER IF EXISTS {name}"
    for name in (
        *(f"billing_{t}_no_{v}" for t in ("ledgerentry", "posting") for v in ("update", "delete")),
        "billing_priceversion_no_update",
        "billing_hold_stays_closed",
        "billing_bucket_no_overlap_insert",
        "billing_bucket_no_overlap_update",
        "billing_priceversion_no_overlap_insert",
        "billing_priceversion_no_overlap_update",
    )
]

POSTGRESQL = [
    """CREATE FUNCTION billing_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$""",
    *(
        f"""CREATE TRIGGER billing_{table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_{table}
        FOR EACH STATEMENT EXECUTE FUNCTION billing_append_only()"""
        for table in ("ledgerentry", "posting")
    ),
    """CREATE FUNCTION billing_price_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'a price version is never changed, only superseded'
        USING ERRCODE = 'restrict_violation'; END $$""",
    f"""CREATE TRIGGER billing_priceversion_no_update
        BEFORE UPDATE OF model, above_input_tokens, valid_from, {RATES} ON billing_priceversion
        FOR EACH ROW EXECUTE FUNCTION billing_price_immutable()""",
    """CREATE FUNCTION billing_hold_closed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'a closed hold stays closed' USING ERRCODE = 'restrict_violation'; END $$""",
    f"""CREATE TRIGGER billing_hold_stays_closed BEFORE UPDATE OF state ON billing_hold
        FOR EACH ROW WHEN (OLD.state IN {TERMINAL}) EXECUTE FUNCTION billing_hold_closed()""",
    # Ranges of one point make "=" out of "&&", so no extension (btree_gist) is needed.
    """ALTER TABLE billing_bucket ADD CONSTRAINT billing_bucket_no_overlap EXCLUDE USING gist (
        int8range(budget_id, budget_id, '[]') WITH &&, tstzrange(period_start, period_end) WITH &&)""",
    "CREATE TYPE billing_textrange AS RANGE (subtype = text)",
    """ALTER TABLE billing_priceversion ADD CONSTRAINT billing_priceversion_no_overlap EXCLUDE USING gist (
        billing_textrange(model, model, '[]') WITH &&,
        int8range(above_input_tokens, above_input_tokens, '[]') WITH &&,
        tstzrange(valid_from, valid_to) WITH &&)""",
]

POSTGRESQL_REVERSE = [
    "ALTER TABLE billing_priceversion DROP CONSTRAINT billing_priceversion_no_overlap",
    "DROP TYPE billing_textrange",
    "ALTER TABLE billing_bucket DROP CONSTRAINT billing_bucket_no_overlap",
    "DROP TRIGGER billing_hold_stays_closed ON billing_hold",
    "DROP FUNCTION billing_hold_closed()",
    "DROP TRIGGER billing_priceversion_no_update ON billing_priceversion",
    "DROP FUNCTION billing_price_immutable()",
    "DROP TRIGGER billing_posting_append_only ON billing_posting",
    "DROP TRIGGER billing_ledgerentry_append_only ON billing_ledgerentry",
    "DROP FUNCTION billing_append_only()",
]


def _run(by_vendor):
    def run(apps, schema_editor):
        for statement in by_vendor[schema_editor.connection.vendor]:
            schema_editor.execute(statement, params=None)

    return run


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_ledger_core")]

    operations = [
        migrations.RunPython(
            _run({"sqlite": SQLITE, "postgresql": POSTGRESQL}),
            _run({"sqlite": SQLITE_REVERSE, "postgresql": POSTGRESQL_REVERSE}),
        )
    ]
