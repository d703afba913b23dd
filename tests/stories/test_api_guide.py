"""The commands of docs/api.md, as they stand there, against a real server."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User

from billing.models import LedgerEntry
from conversations.database import in_database
from conversations.models import ApiKey, Conversation, Generation
from tests.forking import ROOT
from tests.stories.site import Site

pytestmark = [
    pytest.mark.story,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("curl") is None, reason="no curl found"),
]

PASSWORD = "correct horse battery"


def commands(guide: Path) -> list[str]:
    """The shell blocks, but for the first: it makes the key."""
    blocks = re.findall(r"^```sh\n(.*?)^```", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert "apikey_create" in blocks[0]
    return [blocks[0].splitlines()[-1], *blocks[1:]]


async def test_it_does_what_the_guide_says(site: Site, alice: User) -> None:
    secret = (await in_database(ApiKey.create, user=alice))[1]
    # As the site hashes it: the tests have a quicker way.
    alice.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt for the guide")
    await in_database(alice.save)
    web = await asyncio.to_thread(site.start_web)
    script = "\n".join(
        ["set -e", f"CHATSITE=http://{web.address} KEY={secret}", *commands(ROOT / "docs" / "api.md")]
    ).replace('"password": "…"', f'"password": "{PASSWORD}"')

    shell = await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await asyncio.wait_for(shell.communicate(), 60))[0].decode()

    assert shell.returncode == 0, said
    assert "application/problem+json" not in said
    assert '"code"' not in said, said
    assert said.count("event: delta") == 200
    assert '"state":"completed"' in said
    assert re.search(r"204$", said, re.MULTILINE), said
    assert not await in_database(Conversation.objects.exists)
    assert not await in_database(Generation.objects.exists)
    assert await in_database(LedgerEntry.objects.filter(kind="usage").count) == 2
