from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from chatsite import first_start
from chatsite.env import env_str


class Command(BaseCommand):
    help = (
        "Brings the database up to date, makes the first admin and collects the static files. "
        "The last line of the output says how to sign in, as JSON."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        count = first_start.ensure_tables()
        if count:
            self.stderr.write(f"Database brought up to date ({count} migrations).")
        if first_start.ensure_static_files():
            self.stderr.write("Static files collected.")
        sign_in = first_start.ensure_admin(password=env_str("CHATSITE_ADMIN_PASSWORD"))
        if not sign_in.username:
            self.stderr.write(
                f'The name "{first_start.ADMIN_NAME}" belongs to an ordinary account: '
                "make an admin with `.venv/bin/python manage.py createsuperuser`."
            )
        self.stdout.write(json.dumps(asdict(sign_in)))
