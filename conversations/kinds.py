"""What kind of question a turn is, for the usage pages: code, explanation, follow-up or other. Pure.

Rules and no model: it runs at each end of an answer, must cost microseconds and be explainable to whoever
looks at the figures. In this order:

1. fenced code in the question or the answer: ``code``;
2. not the first question, and it is a few words or leans on what came before ("and …", "what about …"):
   ``follow_up``;
3. it asks why, how, what, or for an explanation: ``explanation``;
4. not the first question and short: ``follow_up``;
5. everything else: ``other``.
"""

from __future__ import annotations

import re

from conversations.models import TurnKind

# What is read of a question: the cue of a long one stands in its first or its last sentence.
HEAD_CHARACTERS = 400
TAIL_CHARACTERS = 200
FEW_WORDS = 3
SHORT_WORDS = 8


_FENCE = re.compile(r"(?:^|[\s:(])(?:```|~~~)", re.MULTILINE)
_LEANS = re.compile(
    r"(?:and|but|so|ok|okay|yes|no|now|then|also|what about|how about|what if|what else|what do you mean"
    r"|thanks|great|und|aber|et|mais|y|pero)\b",
)
_ASKS = re.compile(
    r"\b(?:why|how|what|what's|whats|explain|explains|explanation|describe|clarify|understand|understood"
    r"|tell me about|walk me through|difference between|meaning of"
    r"|warum|wieso|wie|was|erklär\w*|pourquoi|comment|qu'est-ce|explique\w*"
    r"|por qué|cómo|qué|explica\w*)(?!\w)",
)
# Questions that begin alike and ask for no explanation.
_COUNTS = re.compile(
    r"\b(?:how (?:many|much|old|far|long|tall|are you)|what time|what should|what's a good)\b"
)


def has_fence(text: str) -> bool:
    """Whether the text holds a fenced block of code."""
    return ("```" in text or "~~~" in text) and _FENCE.search(text) is not None


def turn_kind(question: str, answer: str = "", *, is_first: bool) -> TurnKind:
    """The kind of a turn. ``is_first``: no other question came before it on its branch."""
    if has_fence(question) or has_fence(answer):
        return TurnKind.CODE
    read = _read(question)
    words = len(read.split())
    if not is_first and (words <= FEW_WORDS or _LEANS.match(read)) and words <= SHORT_WORDS:
        return TurnKind.FOLLOW_UP
    if _ASKS.search(read) and not _COUNTS.search(read):
        return TurnKind.EXPLANATION
    return TurnKind.FOLLOW_UP if not is_first and words <= SHORT_WORDS else TurnKind.OTHER


def _read(question: str) -> str:
    text = question.strip().lower().replace("’", "'")
    if len(text) > HEAD_CHARACTERS + TAIL_CHARACTERS:
        text = f"{text[:HEAD_CHARACTERS]} {text[-TAIL_CHARACTERS:]}"
    return text
