from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from monitoring import delivery, incidents
from monitoring.channels import DeliveryFailed, Message, configured_channels, send
from monitoring.models import Incident


class Command(BaseCommand):
    help = "Lists open incidents; judges everything now with --watch; tries the channels with --send-test."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--send-test", action="store_true", help="send a test through every channel")
        parser.add_argument("--watch", action="store_true", help="judge and deliver once, as the worker does")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["send_test"]:
            self._send_test()
            return
        if options["watch"]:
            incidents.watch()
            delivery.deliver_pending()
        found = Incident.objects.filter(closed_at=None).order_by("opened_at")
        for incident in found:
            self.stdout.write(f"{incident.opened_at:%Y-%m-%d %H:%M} {incident.rule}: {incident.title}")
        if not found:
            self.stdout.write("No incident is open.")

    def _send_test(self) -> None:
        message = Message(id="test", event="test", title="Alerts of this site arrive here.", rule="test")
        failed = False
        for channel in configured_channels():
            try:
                send(channel, message)
                self.stdout.write(f"{channel}: sent")
            except DeliveryFailed as error:
                failed = True
                self.stdout.write(f"{channel}: FAILED, {error}")
        if failed:
            raise CommandError("Not every channel works.")
