"""Fills the product's database for the benchmark and counts it afterwards; run in a process of its own.

``python -m tests.bench.seed fill USERS`` makes users with a key each, a priced model of each provider and the
budgets that put the ledger to work, and prints ``{"keys": [...]}``. ``... count`` prints what the books hold.
Everything goes through the product's own commands where there is one.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import django
import orjson
from django.apps import apps
from django.core.management import call_command

MODELS = ("openai:bench", "gemini:bench")


def fill(users: int) -> dict[str, Any]:
    from django.contrib.auth.models import User

    for model in MODELS:
        call_command(
            "model_add",
            model,
            context=128_000,
            max_output=4096,
            input_usd="0.10",
            output_usd="0.40",
            cached_usd="0.05",
            stdout=io.StringIO(),
        )
    quiet = {"stdout": io.StringIO()}
    call_command("budget_set", everyone=True, unit="usd", limit="10000", period="month", **quiet)
    call_command("budget_set", everyone=True, unit="tokens", limit="1000000000", period="day", **quiet)
    keys = []
    for number in range(users):
        user = User.objects.create_user(f"bench{number}")
        call_command(
            "budget_set", user=user.username, unit="tokens", limit="100000000", period="day", **quiet
        )
        out = io.StringIO()
        call_command("apikey_create", user.username, stdout=out)
        keys.append(out.getvalue().split()[-1])
    return {"keys": keys}


def count() -> dict[str, Any]:
    generations = apps.get_model("conversations", "Generation")
    entries = apps.get_model("billing", "LedgerEntry")
    states: dict[str, int] = {}
    for state in generations._default_manager.values_list("state", flat=True):
        states[state] = states.get(state, 0) + 1
    return {"states": states, "entries": entries._default_manager.count()}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    django.setup()
    result = fill(int(sys.argv[2])) if sys.argv[1] == "fill" else count()
    print(orjson.dumps(result).decode())


if __name__ == "__main__":
    main()
