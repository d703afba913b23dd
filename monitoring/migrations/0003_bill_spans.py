"""Lines of a bill may span several days; those that are there tell one."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0002_provider_bills")]

    operations = [
        migrations.AddField("providerbillline", "last_day", models.DateField(null=True)),
        migrations.RunSQL("UPDATE monitoring_providerbillline SET last_day = day", migrations.RunSQL.noop),
        migrations.AlterField("providerbillline", "last_day", models.DateField()),
    ]
