from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from conversations.sweeper import sweep_once


class Command(BaseCommand):
    help = "One pass of the sweeper: closes what died, tells workers what is due, returns lapsed holds."

    def handle(self, *args: Any, **options: Any) -> None:
        swept = sweep_once()
        self.stdout.write(
            f"closed {swept.closed}, revived {swept.revived}, told {swept.told}, "
            f"expired holds {swept.expired_holds}, deleted conversations {swept.deleted}"
        )
