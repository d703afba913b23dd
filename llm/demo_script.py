"""What the demo model says.

Answers come in pieces that the model calls its tokens. Those of the timed names are
one token each for OpenAI's encodings too, so N asked for are N delivered, reported and
counted; those of the friendly script are words and marks.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PIECE = re.compile(r"[ ]?[A-Za-z]+|\d{1,3}|[ ]?[^\sA-Za-z\d]\n*|\s+")

# No word occurs twice, so a lost, doubled or moved piece changes the text; every piece is
# one token in both of OpenAI's encodings.
PLAIN = tuple(
    _PIECE.findall(
        "The river was quiet that morning, and the boat moved slowly past green fields."
        " A child on one bank called out to her brother; he answered with a song about rain"
        " over distant hills. Nobody knew how long it would last, but everyone listened"
        " until evening came.\n\n"
    )
)

THOUGHTS = tuple(
    _PIECE.findall("First, what is being asked? Then, which facts help, and in which order to say them.\n")
)

GREETING = """Hello! I am the **demo model**: I run inside this program, need no key and cost next to nothing.

Ask me for *code*, for a *table*, or anything else, and watch the answer arrive. To talk to a real model, \
the administrator sets a key such as `GEMINI_API_KEY`.
"""

CODE = """Here is a function that counts the words of a text:

```python
from collections import Counter


def count_words(text: str) -> Counter[str]:
    \"\"\"How often each word occurs, whatever its case.\"\"\"
    return Counter(text.lower().split())


print(count_words("to be or not to be").most_common(2))
```

It prints `[('to', 2), ('be', 2)]`. Three things are worth knowing:

1. `split()` without an argument splits at *any* run of white space.
2. A `Counter` is a dictionary, so unknown words count as `0`.
3. Punctuation stays attached to its word; strip it first if that matters.
"""

TABLE = """Here is a comparison:

| Way to store it | Reads | Writes | Good for |
| --- | --- | --- | --- |
| List | fast by position | fast at the end | order |
| Dictionary | fast by key | fast | look-ups |
| Set | fast membership | fast | no duplicates |
| Queue | first in, first out | fast at both ends | work to do |

> A table is the right form when every row answers the same questions.
"""

EXPLANATION = """Good question. In short: **it depends on what you start from**.

- First, state what is known and what is wanted.
- Then find the smallest step that leads from one to the other.
- Finally check the result against an example, such as $2 + 2 = 4$.

This is a scripted answer of the demo model. A real model would go into your words:

> {question}
"""

THANKS = "You are welcome! Ask me for *code* or a *table* if you want to see more.\n"

SCRIPT: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b((?<!hash )table|compare|comparison|versus|vs)\b"), TABLE),
    (re.compile(r"\b(code|function|program|script|python|javascript|sql|regex|bug)\b|```"), CODE),
    (re.compile(r"^\W*(hi|hello|hey|good (morning|evening|day)|who are you|help)\b"), GREETING),
    (re.compile(r"\b(thanks|thank you|cheers)\b"), THANKS),
)


CONDENSE = "Summarise this conversation"
NAME = "Write a title"
_LONGEST_TITLE_WORDS = 6
_ASKED = re.compile(r"^User: (.{1,100})", re.MULTILINE)
_NEVER_LAST = re.compile(
    r"(an?|and|are|at|by|for|from|how|i[ns]|my|of|on|or|that|the|to|what|with|your)", re.IGNORECASE
)
_BEFORE = re.compile(r"^Summary of what came before:\n(.+?)(?:\n\n|$)", re.MULTILINE | re.DOTALL)


def _condensed(transcript: str) -> str:
    """What was asked, in order: as much of a summary as a script can make."""
    before = _BEFORE.search(transcript)
    asked = "; ".join(f"“{question.strip()}”" for question in _ASKED.findall(transcript))
    return (f"{before[1]} Then: " if before else "So far the user has asked: ") + f"{asked}."


def _named(transcript: str) -> str:
    """The first words that were asked, up to one that may stand at the end."""
    asked = _ASKED.search(transcript)
    words = (asked[1] if asked else "").split()[:_LONGEST_TITLE_WORDS]
    while words and _NEVER_LAST.fullmatch(words[-1]):
        words.pop()
    title = " ".join(words).rstrip("?.,;:! ")
    return title[:1].upper() + title[1:] or "Conversation"


def friendly_answer(question: str) -> str:
    """Markdown that suits the question: code, a table, a greeting, a summary, a title or an explanation."""
    if question.startswith(NAME):
        return _named(question)
    if question.startswith(CONDENSE):
        return _condensed(question)
    lowered = question.strip().lower()
    for pattern, answer in SCRIPT:
        if pattern.search(lowered):
            return answer
    quoted = " ".join(question.split())
    if len(quoted) > 200:
        quoted = quoted[:199] + "…"
    return EXPLANATION.format(question=quoted or "…")


@lru_cache(maxsize=256)
def friendly_tokens(question: str) -> tuple[str, ...]:
    """The answer in pieces that join to exactly the answer."""
    return tuple(_pieces(friendly_answer(question)))


def numbered_tokens(count: int) -> tuple[str, ...]:
    """``count`` pieces, the same ones for the same position every time."""
    return _repeat(PLAIN, count)


def thought_tokens(count: int) -> tuple[str, ...]:
    return _repeat(THOUGHTS, count)


@lru_cache(maxsize=64)
def _repeat(pieces: tuple[str, ...], count: int) -> tuple[str, ...]:
    rounds, rest = divmod(count, len(pieces))
    return pieces * rounds + pieces[:rest]


def _pieces(text: str) -> list[str]:
    return _PIECE.findall(text)
