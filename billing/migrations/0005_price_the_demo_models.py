from __future__ import annotations

from datetime import UTC, datetime

from django.db import migrations

# Unlike every real price this one is ours to set: $0.10 and $0.40 per million tokens.
INPUT_PICOUSD, OUTPUT_PICOUSD = 100_000, 400_000


def ship(apps, schema_editor):
    apps.get_model("billing", "PriceVersion").objects.create(
        model="demo:*",
        input_picousd=INPUT_PICOUSD,
        cache_read_picousd=INPUT_PICOUSD // 4,
        cache_write_picousd=INPUT_PICOUSD,
        tool_prompt_picousd=INPUT_PICOUSD,
        output_picousd=OUTPUT_PICOUSD,
        thinking_picousd=OUTPUT_PICOUSD,
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        source="shipped",
    )


def unship(apps, schema_editor):
    apps.get_model("billing", "PriceVersion").objects.filter(model="demo:*", source="shipped").delete()


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_find_corrections")]

    operations = [migrations.RunPython(ship, unship)]
