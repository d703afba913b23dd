"""Answers as HTML: CommonMark with tables, strikethrough, task lists and maths, safe to put into a page.

``static/js/markdown.js`` holds the same rules for the browser; a parity test runs the CommonMark and GFM
specifications through both. Change one, change the other.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml, unescapeAll
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from conversations.markdown_maths import math_block, math_inline

# The page's own title is h1, each message's author h2.
HEADING_SHIFT = 2
LINK_REL = "noopener noreferrer nofollow"

_scheme = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_allowed_scheme = re.compile(r"^(?:https?|mailto|tel):", re.IGNORECASE)
_host = re.compile(r"^(?:https?:)?//(?:[^/?#@]*@)?([^/?#]+)", re.IGNORECASE)
_language = re.compile(r"^[A-Za-z0-9_+#.-]{1,32}$", re.ASCII)
_task = re.compile(r"^\[([ xX])\][ \t]")
_line_break = re.compile(r"<br[ \t]*/?>", re.IGNORECASE)

_Env = MutableMapping[str, Any]


def to_html(text: str) -> str:
    """The sanitised HTML of a whole answer."""
    return sanitise(render(text))


def render(text: str) -> str:
    """The HTML before sanitising. Raw HTML in the text comes out escaped."""
    return str(_markdown.render(text))


def sanitise(html: str) -> str:
    """Keeps only what `render` can produce. The second fence: the first is that raw HTML is off."""
    return _cleaner.clean(html)


_BARE_TAGS = {
    *("h3", "h4", "h5", "h6", "p", "pre", "blockquote", "em", "strong", "s", "hr", "br"),
    *("ul", "table", "thead", "tbody", "tr"),
}
_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title", "rel", "target", "class"},
    "code": {"class", "tabindex"},
    "div": {"class", "role", "tabindex", "aria-label"},
    "li": {"class"},
    "ol": {"start"},
    "span": {"class", "role", "aria-label"},
    "td": {"class"},
    "th": {"class"},
}
_cleaner = nh3.Cleaner(
    tags=_ATTRIBUTES.keys() | _BARE_TAGS,
    attributes=_ATTRIBUTES,
    url_schemes={"http", "https", "mailto", "tel"},
    link_rel=None,
)


# --- Links and images ---------------------------------------------------------


def _is_link_allowed(url: str) -> bool:
    return not _scheme.match(url) or _allowed_scheme.match(url) is not None


def _mark_link(token: Token) -> None:
    token.attrSet("rel", LINK_REL)
    token.attrSet("target", "_blank")


def _image_as_link(image: Token, *, inside_link: bool) -> list[Token]:
    """A picture would be fetched from a foreign server as soon as it is shown; a link waits for a click."""
    source = str(image.attrGet("src") or "")
    alt = _plain_text(image.children or []).strip() or "image"
    host = _host.match(source)
    label = Token("text", "", 0)
    label.content = f"{alt} ({host.group(1)})" if host else alt
    if inside_link or not source:
        return [label]
    start = Token("link_open", "a", 1)
    start.attrSet("class", "image-link")
    start.attrSet("href", source)
    _mark_link(start)
    return [start, label, Token("link_close", "a", -1)]


def _plain_text(tokens: Sequence[Token]) -> str:
    parts = []
    for token in tokens:
        if token.type in ("text", "code_inline", "math_inline"):
            parts.append(token.content)
        elif token.type == "image":
            parts.append(_plain_text(token.children or []))
        elif token.type in ("softbreak", "hardbreak"):
            parts.append("\n")
    return "".join(parts)


def _links(children: list[Token]) -> list[Token]:
    out: list[Token] = []
    depth = 0
    for token in children:
        if token.type == "image":
            out.extend(_image_as_link(token, inside_link=depth > 0))
            continue
        if token.type == "link_open":
            depth += 1
            _mark_link(token)
        elif token.type == "link_close":
            depth -= 1
        out.append(token)
    return out


# --- Core rules -----------------------------------------------------------------


def _adapt(state: StateCore) -> None:
    """Heading levels, cell alignment, links, images and task items."""
    tokens = state.tokens
    for index, token in enumerate(tokens):
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + HEADING_SHIFT)}"
        elif token.type in ("th_open", "td_open") and token.attrs:
            style = str(token.attrs.get("style", ""))
            token.attrs = {"class": f"align-{style.rpartition(':')[2]}"} if style else {}
        elif token.type == "inline" and token.children:
            token.children = _links(token.children)
            if (
                index > 1
                and tokens[index - 1].type == "paragraph_open"
                and tokens[index - 2].type == "list_item_open"
            ):
                _task_item(tokens[index - 2], token.children)


def _task_item(item: Token, children: list[Token]) -> None:
    first = children[0]
    match = _task.match(first.content) if first.type == "text" else None
    if match is None:
        return
    done = match.group(1) != " "
    item.attrJoin("class", "task")
    box = Token("task_box", "span", 0)
    box.meta = {"done": done}
    first.content = first.content[match.end() :]
    children.insert(0, box)


# --- Inline ---------------------------------------------------------------------


def _html_line_break(state: StateInline, silent: bool) -> bool:
    """``<br>``, which models write into table cells, where Markdown has no line break of its own."""
    if state.src[state.pos] != "<":
        return False
    match = _line_break.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = match.end()
    return True


# --- Renderer ---------------------------------------------------------------------


class _Renderer(RendererHTML):
    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: _Env) -> str:
        token = tokens[idx]
        words = unescapeAll(token.info).split()
        language = words[0] if words else ""
        attribute = f' class="language-{escapeHtml(language)}"' if _language.match(language) else ""
        return f'<pre><code{attribute} tabindex="0">{escapeHtml(token.content)}</code></pre>\n'

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: _Env) -> str:
        return f'<pre><code tabindex="0">{escapeHtml(tokens[idx].content)}</code></pre>\n'

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: _Env) -> str:
        return '<div class="table-scroll" role="region" aria-label="Table" tabindex="0"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: _Env) -> str:
        return "</table></div>\n"

    def math_inline(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: _Env) -> str:
        token = tokens[idx]
        display = " math-display" if token.markup in ("$$", "\\[") else ""
        return f'<span class="math{display}">{escapeHtml(token.content)}</span>'

    def math_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: _Env) -> str:
        return f'<div class="math math-display">{escapeHtml(tokens[idx].content)}</div>\n'

    def task_box(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: _Env) -> str:
        name, label = ("task-done", "Done") if tokens[idx].meta["done"] else ("task-open", "Not done")
        return f'<span class="{name}" role="img" aria-label="{label}"></span> '


def _build() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    markdown.validateLink = _is_link_allowed  # type: ignore[method-assign] # the documented way to replace it
    markdown.inline.ruler.before("escape", "math_inline", math_inline)
    markdown.inline.ruler.before("autolink", "html_line_break", _html_line_break)
    markdown.block.ruler.before(
        "fence", "math_block", math_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    markdown.core.ruler.push("adapt", _adapt)
    return markdown


_markdown = _build()
