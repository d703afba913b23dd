"""The words of a search, and where they stand in a text. Pure.

``static/js/search_words.js`` does the same in the browser.
"""

from __future__ import annotations

import re
import unicodedata

QUERY_LIMIT_CHARACTERS = 200
WORDS_LIMIT = 12
SNIPPET_BEFORE_CHARACTERS = 24
SNIPPET_CHARACTERS = 110


def words_of(query: str) -> list[str]:
    """What is looked for: each word once, in the order in which they were typed."""
    text = unicodedata.normalize("NFC", query.replace("\x00", " "))[:QUERY_LIMIT_CHARACTERS]
    return list(dict.fromkeys(text.split()))[:WORDS_LIMIT]


def spellings(word: str) -> list[str]:
    """Those in which a text may have the word. SQLite knows capitals of ASCII alone."""
    return list(dict.fromkeys((word, word.lower(), word.upper(), word.capitalize())))


def pattern_of(query: str) -> re.Pattern[str] | None:
    """Any word of the query in any spelling, the longest first; None where there is no word."""
    found = {spelling for word in words_of(query) for spelling in spellings(word)}
    longest_first = sorted(found, key=lambda one: (-len(one), one))
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if found else None


def stands_in(text: str, query: str) -> bool:
    """Whether all words do."""
    patterns = [pattern_of(word) for word in words_of(query)]
    return all(pattern is not None and pattern.search(text) for pattern in patterns)


def snippet(text: str, query: str) -> str:
    """A line of the text about the place where the query stands: all of it, else one of its words."""
    line = " ".join(text.split())
    together = re.compile(r"\s+".join(map(re.escape, query.split())), re.IGNORECASE)
    pattern = pattern_of(query)
    place = together.search(line) or (pattern.search(line) if pattern else None)
    start = max(0, place.start() - SNIPPET_BEFORE_CHARACTERS) if place else 0
    cut = line[start : start + SNIPPET_CHARACTERS]
    return f"{'…' if start else ''}{cut}{'…' if start + SNIPPET_CHARACTERS < len(line) else ''}"
