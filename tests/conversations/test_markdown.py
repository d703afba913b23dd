"""The server's renderer: what it makes of Markdown, and that hostile text stays text."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser

import pytest

from chatsite.launcher.bundle import find_node
from conversations.markdown import render, sanitise, to_html
from tests.conversations.markdown_corpus import (
    CORPORA,
    ROOT,
    SPECIFICATIONS,
    corpus_texts,
    exfiltration_texts,
    hostile_texts,
    specification,
)

needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not here")
ANSWER = (ROOT / "tests" / "js" / "answer.md").read_text(encoding="utf-8")


def in_browser_renderer(texts: list[str]) -> list[str]:
    node = find_node()
    if node is None or not (ROOT / "node_modules" / "markdown-it").is_dir():
        pytest.skip("the browser's libraries are not installed")
    done = subprocess.run(
        [node.program, "tests/js/render_corpus.mjs"],
        cwd=ROOT,
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


@needs_corpora
@pytest.mark.no_cover
def test_it_renders_every_text_of_the_corpora_byte_for_byte_as_the_browser_does() -> None:
    texts = [*corpus_texts(), *hostile_texts(), ANSWER]
    browser = in_browser_renderer(texts)
    differ = [text for text, html in zip(texts, browser, strict=True) if render(text) != html]
    assert differ == []


def test_it_renders_every_prefix_of_an_answer_as_the_browser_does() -> None:
    texts = [ANSWER[:length] for length in range(len(ANSWER) + 1)]
    differ = [
        text for text, html in zip(texts, in_browser_renderer(texts), strict=True) if render(text) != html
    ]
    assert differ == []


# What we render otherwise than the specifications, on purpose, and how it is recognised in their examples.
DEVIATIONS = {
    "raw HTML is shown as text": r"<[A-Za-z/!?]",
    "a picture is a link": r"!\[",
    "a link is made of angle or square brackets, not of a bare address": r"www\.|https?://|\S@\S",
    "backslash and square bracket begin a formula": r"\\\[",
    "the name of a language is plain": r"(?m)^(```|~~~)",
    "a task has a drawn box, not a form's": r"(?m)^\s*- \[[ xX]\]",
    "one tilde is a tilde": r"(?<!~)~(?!~)",
    "there are no footnotes": r"\[\^",
    "columns are aligned by classes": r":-|-:",
}


class _Shape(HTMLParser):
    """The elements and texts of HTML without what we add on purpose."""

    OURS = ("rel", "target", "tabindex")

    def __init__(self, *, heading_shift: int) -> None:
        super().__init__(convert_charrefs=True)
        self.heading_shift = heading_shift
        self.found: list[object] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if ("class", "table-scroll") in attributes:
            return
        kept = sorted((name, value) for name, value in attributes if name not in self.OURS)
        self.found.append((self.named(tag), kept))

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("div", "br", "hr"):
            self.found.append(f"/{self.named(tag)}")

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if words:
            self.found.append(words)

    def named(self, tag: str) -> str:
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            return f"h{min(6, int(tag[1]) + self.heading_shift)}"
        return "del" if tag == "s" else tag


def test_it_renders_an_answer() -> None:
    html = to_html(ANSWER)
    assert html.startswith("<h3>A plan</h3>")
    assert '<a href="https://example.com/a?b=1&amp;c=2" title="Title" rel="noopener noref' in html
    assert '<td class="align-right">1</td>' in html
    assert '<pre><code class="language-python" tabindex="0">def double(values):' in html
    assert '<span class="math">a^2 + b^2 = c^2</span>' in html
    assert '<div class="math math-display">\\int_0^1 x\\,dx &lt; 1</div>' in html
    assert "$5 and $10" in html
    assert '<span class="task-done" role="img" aria-label="Done"></span> done' in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<s>gone</s>" in html


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("![cat](https://evil.example/c.png?q=1)", "cat (evil.example)"),
        ("![](//evil.example/c.png)", "image (evil.example)"),
        ("[![cat](https://evil.example/c.png)](https://other.example)", ">cat (evil.example)</a>"),
        ("![x](https://user:secret@evil.example/)", "x (evil.example)"),
    ],
)
def test_it_makes_a_link_of_an_image_and_names_the_host(text: str, expected: str) -> None:
    html = to_html(text)
    assert expected in html
    assert "<img" not in html
    assert html.count("<a ") == 1


@pytest.mark.parametrize(
    "text",
    [
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&colon;alert(1))",
        "[x](data:text/html;base64,PHN2Zz4=)",
        "[x](vbscript:msgbox(1))",
        "<javascript:alert(1)>",
        "![x](data:image/png;base64,AAAA)",
    ],
)
def test_it_makes_no_link_of_a_scheme_that_is_not_for_links(text: str) -> None:
    assert "href" not in to_html(text)


@pytest.mark.parametrize("text", ["costs $5 or $10 today", "$ 5 $", "a $b", "\\$a$", "$$", "`$a$`"])
def test_it_does_not_take_money_for_maths(text: str) -> None:
    assert "math" not in to_html(text)


def test_it_does_not_read_maths_across_a_blank_line() -> None:
    assert "math" not in to_html("$$\na\n\nb\n$$")


def test_it_sanitises_what_the_renderer_would_never_write() -> None:
    dirty = '<p onclick="x()">a<script>b</script><img src="//c"><a href="javascript:d" style="e">f</a></p>'
    assert sanitise(dirty) == "<p>a<a>f</a></p>"


SANITISED_TAGS = (
    *(
        "a",
        "blockquote",
        "br",
        "code",
        "div",
        "em",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "s",
    ),
    *("span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"),
)


@needs_corpora
@pytest.mark.no_cover
def test_it_makes_no_element_of_hostile_text_that_could_do_harm() -> None:
    attributes = {"aria-label", "class", "href", "rel", "role", "start", "tabindex", "target", "title"}
    for text in [*hostile_texts(), *exfiltration_texts()]:
        shape = _Elements()
        shape.feed(to_html(text))
        assert shape.tags <= set(SANITISED_TAGS), text
        assert shape.attributes <= attributes, text
        assert all(_is_harmless(url) for url in shape.urls), text


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.urls: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.urls |= {value or "" for name, value in attributes if name == "href"}


def _is_harmless(url: str) -> bool:
    scheme, colon, _ = url.partition(":")
    return (
        not colon
        or "/" in scheme
        or scheme.lower() in ("http", "https", "mailto", "tel")
        or (not scheme.isascii() or not scheme[:1].isalpha() or not scheme.replace("+", "").isalnum())
    )


@needs_corpora
@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_it_follows_the_specification_but_for_what_is_listed(name: str) -> None:
    pairs = specification(name)
    unexplained = [
        markdown
        for markdown, html in pairs
        if not any(re.search(pattern, markdown) for pattern in DEVIATIONS.values())
        and not _follows(markdown, html)
    ]
    assert unexplained == []


def _follows(markdown: str, html: str) -> bool:
    ours, theirs = _Shape(heading_shift=0), _Shape(heading_shift=2)
    ours.feed(render(markdown))
    theirs.feed(html)
    return ours.found == theirs.found
