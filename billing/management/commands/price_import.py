from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.models import PriceVersion
from billing.price_list import SOURCE, import_prices


class Command(BaseCommand):
    help = (
        "Brings published prices (from the genai-prices package, offline) into the ledger as new versions."
        " A price that an admin has set stays. Without models: those that were imported before."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("models", nargs="*", metavar="PROVIDER:NAME")
        parser.add_argument("--confirm", action="store_true", help="accept changes of more than tenfold")

    def handle(self, *args: Any, **options: Any) -> None:
        models = options["models"] or _imported_before()
        wrong = [model for model in models if ":" not in model]
        if wrong:
            raise CommandError(f"{wrong[0]!r} is not a model's name. Example: gemini:gemini-2.5-flash")
        for one in import_prices(models, confirm=options["confirm"]):
            self.stdout.write(f"{one.outcome:<8} {one.model}" + (f" ({one.reason})" if one.reason else ""))


def _imported_before() -> list[str]:
    running = PriceVersion.objects.filter(valid_to__isnull=True, source__startswith=SOURCE)
    return list(running.order_by("model").values_list("model", flat=True).distinct())
