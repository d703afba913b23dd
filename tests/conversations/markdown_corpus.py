"""Markdown texts of the shared corpora, where they are present."""

from __future__ import annotations

import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPORA = Path(os.environ.get("CHATSITE_CORPORA", ROOT.parent / "shared" / "corpora")) / "markdown"
SPECIFICATIONS = (
    "markdown_commonmark_0.31.2.json",
    "markdown_gfm_spec.json",
    "markdown_gfm_extensions.json",
    "markdown_gfm_regression.json",
)


def _rows(name: str) -> list[dict[str, str]]:
    text = (CORPORA / name).read_text(encoding="utf-8")
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines() if line]
    rows: list[dict[str, str]] = json.loads(text)
    return rows


def specification(name: str) -> list[tuple[str, str]]:
    """(Markdown, HTML) pairs of one specification."""
    return [(row["markdown"], row["html"]) for row in _rows(name)]


def incomplete_texts() -> list[str]:
    rows = _rows("markdown_incomplete_pairs.json")
    return [row[key] for row in rows for key in ("input", "completed")]


def hostile_texts() -> list[str]:
    rows = [*_rows("markdown_xss_payloads.jsonl"), *_rows("xss_dompurify_expect.json")]
    return [row["payload"] for row in rows] + exfiltration_texts()


def exfiltration_texts() -> list[str]:
    return [row["markdown"] for row in _rows("markdown_exfil.jsonl")]


def corpus_texts() -> list[str]:
    """Everything that is Markdown on purpose."""
    texts = [markdown for name in SPECIFICATIONS for markdown, _ in specification(name)]
    return texts + incomplete_texts()
