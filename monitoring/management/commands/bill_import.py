"""manage.py bill_import FILE: a provider's billing file beside our books."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.receipts import usd
from monitoring.bill_files import BillUnreadable
from monitoring.reconciliation import Drift, drift, import_bill


class Command(BaseCommand):
    help = (
        "Imports Google Cloud's cost report or cost table, or OpenAI's usage or cost export,"
        " and shows how far the books are off."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--currency",
            default="",
            help="ISO code of the billing account, for a file that says only “$”; without: as the file says",
        )

    def handle(self, *args: Any, file: Path, currency: str, **options: Any) -> None:
        try:
            bill, created = import_bill(file.read_bytes(), file_name=file.name, currency=currency)
        except (OSError, BillUnreadable) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{bill}{'' if created else ' (imported before)'}")
        for one in drift(bill):
            name = one.model or f"{one.provider_model} (not in the books)"
            days = one.day if one.day == one.last_day else f"{one.day} to {one.last_day}"
            self.stdout.write(f"{days} {name}: {_words(one)}")


def _words(one: Drift) -> str:
    if one.billed is None:
        return f"not on the bill, {one.ours.total_tokens:,} tokens in the books"
    parts = [
        f"input {one.input_drift:+,}" if one.input_drift is not None else "",
        f"output {one.output_drift:+,}" if one.output_drift is not None else "",
        f"cost {usd(one.cost_drift_nanousd)} USD" if one.cost_drift_nanousd is not None else "",
        f"off by {one.percent} %" if one.percent is not None else "",
        "the day was not over" if one.is_partial else "",
    ]
    return ", ".join(part for part in parts if part)
