from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from billing.errors import InvalidAmount, PriceChangeTooLarge
from billing.prices import TierPrice, picousd_from_usd_per_million, set_price
from llm.profiles import UnknownProvider, add_model

LIMITS = {
    "requests_per_minute": "what the provider allows",
    "tokens_per_minute": "what the provider allows",
    "requests_per_day": "what the provider allows",
}


class Command(BaseCommand):
    help = (
        "Adds or changes a model, and its price from now on in USD per million tokens."
        " Without a price a new model's price is unknown, a known model's stays."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", metavar="PROVIDER:NAME")
        parser.add_argument(
            "--context", type=int, required=True, metavar="N", help="context window in tokens"
        )
        parser.add_argument(
            "--max-output", type=int, required=True, metavar="N", help="longest answer in tokens"
        )
        parser.add_argument("--label", help="what people see")
        for name, what in LIMITS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=what)
        parser.add_argument("--input-usd", metavar="X", help="per million input tokens")
        parser.add_argument("--output-usd", metavar="Y", help="per million output tokens")
        parser.add_argument(
            "--cached-usd", metavar="Z", help="per million cached input tokens; else as the input"
        )
        parser.add_argument(
            "--confirm", action="store_true", help="accept a price change of more than tenfold"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tier = _tier(options["input_usd"], options["output_usd"], options["cached_usd"])
            with transaction.atomic():
                row = add_model(
                    model_id=options["model"],
                    context_window_tokens=options["context"],
                    max_output_tokens=options["max_output"],
                    label=options["label"],
                    **{name: options[name] for name in LIMITS},
                )
                if tier is not None:
                    set_price(
                        model=row.model_id, tiers=[tier], source="model_add", confirm=options["confirm"]
                    )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        except PriceChangeTooLarge as error:
            raise CommandError(f"{error} Use --confirm if it is meant.") from error
        except (UnknownProvider, InvalidAmount) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{row.model_id}: {'price set' if tier is not None else 'price as before or unknown'}"
        )


def _tier(input_usd: str | None, output_usd: str | None, cached_usd: str | None) -> TierPrice | None:
    if input_usd is None and output_usd is None and cached_usd is None:
        return None
    if input_usd is None or output_usd is None:
        raise InvalidAmount("A price needs both --input-usd and --output-usd.")
    return TierPrice(
        input_picousd=picousd_from_usd_per_million(input_usd),
        output_picousd=picousd_from_usd_per_million(output_usd),
        cache_read_picousd=None if cached_usd is None else picousd_from_usd_per_million(cached_usd),
    )
