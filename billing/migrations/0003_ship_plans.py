from __future__ import annotations

from django.db import migrations

PLANS = [("free", "Free", 4_000), ("pro", "Pro", 50_000), ("unlimited", "Unlimited", None)]


def ship(apps, schema_editor):
    Plan = apps.get_model("billing", "Plan")
    PlanBudget = apps.get_model("billing", "PlanBudget")
    for position, (name, label, limit) in enumerate(PLANS):
        plan = Plan.objects.create(name=name, label=label, position=position)
        PlanBudget.objects.create(plan=plan, unit="tokens", period="day", limit_units=limit)


def unship(apps, schema_editor):
    apps.get_model("billing", "Plan").objects.filter(name__in=[name for name, _, _ in PLANS]).delete()


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_database_guards")]

    operations = [migrations.RunPython(ship, unship)]
