"""Formulas in Markdown: the rules of ``$``, ``$$``, ``\\(`` and ``\\[`` for markdown-it.

``static/js/markdown.js`` holds the same rules for the browser. Change one, change the other.
"""

from __future__ import annotations

from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

# A longer run between two dollar signs is prose about money, not a formula.
MATH_INLINE_LIMIT_CHARACTERS = 1_000
SPACE = " \t\n"


def _is_escaped(source: str, position: int) -> bool:
    slashes = 0
    while position - slashes > 0 and source[position - slashes - 1] == "\\":
        slashes += 1
    return slashes % 2 == 1


def _math_close(source: str, start: int, end: int, close: str) -> int:
    """Where the first unescaped ``close`` stands between start and end; -1 where there is none."""
    limit = min(end, start + MATH_INLINE_LIMIT_CHARACTERS + len(close))
    position = source.find(close, start, limit)
    while position >= 0 and close[0] == "$" and _is_escaped(source, position):
        position = source.find(close, position + 1, limit)
    return position


def math_inline(state: StateInline, silent: bool) -> bool:
    source, start, end = state.src, state.pos, state.posMax
    opening = source[start : start + 2]
    if opening == "$$":
        close = "$$"
    elif opening == "\\(":
        close = "\\)"
    elif opening == "\\[":
        close = "\\]"
    elif opening[:1] == "$":
        opening = close = "$"
    else:
        return False
    inner = start + len(opening)
    position = _math_close(source, inner, end, close)
    content = source[inner:position] if position > 0 else ""
    if not content.strip(SPACE):
        return False
    after = position + len(close)
    if opening == "$" and (
        content[0] in SPACE or content[-1] in SPACE or (after < end and source[after] in "0123456789")
    ):
        return False
    if not silent:
        token = state.push("math_inline", "span", 0)
        token.content = content
        token.markup = opening
    state.pos = after
    return True


def math_block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """``$$`` or ``\\[`` at the start of a line to its close at the end of a line, no blank line inside."""
    if state.is_code_block(start_line):
        return False
    position = state.bMarks[start_line] + state.tShift[start_line]
    opening = state.src[position : position + 2]
    if opening not in ("$$", "\\["):
        return False
    close = "$$" if opening == "$$" else "\\]"
    line = start_line
    while True:
        begin = state.bMarks[line] + state.tShift[line] + (2 if line == start_line else 0)
        text = state.src[begin : state.eMarks[line]].rstrip(SPACE)
        if text.endswith(close):
            break
        line += 1
        if line >= end_line or state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False
    content = state.getLines(start_line, line + 1, state.blkIndent, False).strip(SPACE)[2:-2]
    if not content.strip(SPACE) or (opening == "$$" and "$$" in content):
        return False
    if silent:
        return True
    state.line = line + 1
    token = state.push("math_block", "div", 0)
    token.block = True
    token.content = content.strip(SPACE)
    token.map = [start_line, state.line]
    token.markup = opening
    return True
