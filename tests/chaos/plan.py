"""How long and how hard a storm is to blow, and what is asked meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

TOKENS = (200, 240, 320)
TROUBLES = ("", "", "", "", "!429x1@1", "!429x1@2", "!503x1", "!500x1")
MODELS = {f"40-{tokens}-8{trouble}": tokens for tokens in TOKENS for trouble in TROUBLES}
WELL = frozenset({"completed", "interrupted"})
BY_HAND = WELL | {"stopped"}


@dataclass(frozen=True)
class Plan:
    """``turns`` questions by ``people``; a fault every ``pause`` seconds until all have been asked."""

    seed: int
    turns: int = 200
    people: int = 12
    browsers: int = 0  # of the people
    webs: int = 2
    workers: int = 2
    pause: tuple[float, float] = (1.5, 3.5)
    cut_every: tuple[float, float] = (0.2, 0.8)
    disturb_every: tuple[float, float] = (0.3, 1.2)
    falls_silent: bool = True  # a page notices a silent line after half a minute
    stop_percent: int = 8
