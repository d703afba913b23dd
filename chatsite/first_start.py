"""What must be true before the site starts: tables, the first admin, the collected static files.

Each step does nothing when there is nothing to do, so it runs at every start.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import django
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from billing import accounts

ADMIN_NAME = "admin"
UNLIMITED_PLAN = "unlimited"
PASSWORD_BYTES = 12


@dataclass(frozen=True, slots=True)
class SignIn:
    """How to sign in. ``password`` is set only when it was made just now."""

    username: str
    password: str = ""
    created: bool = False


def pending_migrations() -> list[str]:
    """Names of the migrations that the database lacks, "app.name"."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def ensure_tables() -> int:
    """Applies what is missing; returns how many migrations that were."""
    pending = pending_migrations()
    if pending:
        call_command("migrate", interactive=False, verbosity=0)
    return len(pending)


def ensure_admin(*, password: str = "") -> SignIn:
    """Makes the first admin, without limits, where nobody is one; else names an existing one.

    ``password`` counts only when the account is made: a start never changes a password in use.
    """
    existing = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if existing is not None:
        return SignIn(username=existing.username)
    if User.objects.filter(username=ADMIN_NAME).exists():
        # Nobody is made an admin by having picked the name.
        return SignIn(username="")
    chosen = password or secrets.token_urlsafe(PASSWORD_BYTES)
    with transaction.atomic():
        user = User.objects.create_superuser(ADMIN_NAME, "", chosen)
        accounts.set_plan(user_id=user.pk, plan=UNLIMITED_PLAN)
    return SignIn(username=user.username, password="" if password else chosen, created=True)


def ensure_static_files() -> bool:
    """Collects the static files again when one of them changed; tells whether it did."""
    root = Path(settings.STATIC_ROOT)
    stamp = root.with_name(f"{root.name}.stamp")
    wanted = _static_digest(Path(folder) for folder in settings.STATICFILES_DIRS)
    if root.is_dir() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return False
    root.parent.mkdir(parents=True, exist_ok=True)
    # Not cleared first: a site that is running still serves the old names.
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(wanted, encoding="utf-8")
    return True


def _static_digest(folders: Iterable[Path]) -> str:
    total = hashlib.sha256(django.__version__.encode())
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                total.update(str(path).encode())
                total.update(path.read_bytes())
    return total.hexdigest()
