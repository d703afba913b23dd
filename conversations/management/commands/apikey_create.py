from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from conversations.models import ApiKey


class Command(BaseCommand):
    help = "Makes an API key for a user and prints it. It is shown only this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="user name")
        parser.add_argument("--name", default="", help="what the key is for")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        if not user.is_active:
            raise CommandError(f"The user {options['user']!r} is deactivated; its keys would open nothing.")
        if len(options["name"]) > 100:
            raise CommandError("The name of a key has at most 100 characters.")
        _, secret = ApiKey.create(user=user, name=options["name"])
        self.stdout.write(secret)
