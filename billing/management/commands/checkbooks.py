from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from billing.books import check_books


class Command(BaseCommand):
    help = "Verifies every invariant of the ledger: one line each, exit 1 if one fails."

    def handle(self, *args: Any, **options: Any) -> None:
        broken = 0
        for finding in check_books():
            broken += not finding.ok
            word = self.style.SUCCESS("ok  ") if finding.ok else self.style.ERROR("FAIL")
            self.stdout.write(f"{finding.invariant.name:<4} {word} {finding.invariant.says}")
            for row in finding.rows:
                self.stdout.write("            " + ", ".join(str(value) for value in row))
        if broken:
            sys.exit(1)
