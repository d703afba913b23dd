"""Both renderers against each other and against hostile text, in a real browser under a strict policy."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, Route

from chatsite.launcher.bundle import find_node
from conversations.markdown import to_html
from tests.conversations.markdown_corpus import CORPORA, corpus_texts, exfiltration_texts, hostile_texts
from tests.forking import ROOT
from tests.stories.browser.chat import in_both
from tests.stories.browser.conftest import Complaints

pytestmark = pytest.mark.browser

ORIGIN = "http://page.test"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; require-trusted-types-for 'script';"
    f" trusted-types dompurify; img-src {ORIGIN}/favicon.ico"
)
PAGE = '<!doctype html><html lang="en"><title>t</title><body><script src="/harness.js"></script></body>'
ANSWER = (ROOT / "tests" / "js" / "answer.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def harness(bundle: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    node = find_node()
    assert node is not None
    made = tmp_path_factory.mktemp("harness") / "harness.js"
    command = [node.program, "node_modules/esbuild/bin/esbuild", "tests/js/harness.js", "--bundle"]
    options = ["--format=iife", "--target=es2022", "--log-level=warning", f"--outfile={made}"]
    subprocess.run([*command, *options], cwd=ROOT, check=True)
    return made


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, harness: Path, complaints: Complaints) -> AsyncIterator[Page]:
    context = await browser.new_context()
    made = await context.new_page()
    complaints.watch(made)
    outside: list[str] = []

    async def serve(route: Route) -> None:
        url = route.request.url
        if url == f"{ORIGIN}/harness.js":
            await route.fulfill(path=harness, content_type="text/javascript")
        elif url == f"{ORIGIN}/favicon.ico":
            # Firefox asks for one by itself.
            await route.fulfill(status=404)
        elif url == f"{ORIGIN}/":
            headers = {"Content-Security-Policy": POLICY}
            await route.fulfill(body=PAGE, content_type="text/html", headers=headers)
        else:
            outside.append(url)
            await route.abort()

    await context.route("**/*", serve)
    dialogs: list[str] = []

    async def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        await dialog.dismiss()

    made.on("dialog", dismiss)
    await made.goto(f"{ORIGIN}/")
    yield made
    assert outside == []
    assert dialogs == []
    await context.close()


async def call(page: Page, name: str, *arguments: Any) -> Any:
    return await page.evaluate("([name, args]) => window.harness[name](...args)", [name, list(arguments)])


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not here")
async def test_it_renders_the_specifications_as_the_server_does(page: Page) -> None:
    texts = corpus_texts()
    server = [to_html(text) for text in texts]
    browser = await call(page, "parity", texts)
    # Two serialisers may write the same page in two ways: then the pages are compared, not the strings.
    unequal = [pair for pair in zip(server, browser, strict=True) if pair[0] != pair[1]]
    assert await call(page, "differing", unequal) == []
    assert len(unequal) < len(texts) / 50


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not here")
@pytest.mark.parametrize(("size", "longest"), [(1, 300), (7, 2_000)])
async def test_it_streams_to_the_same_page_as_one_render(page: Page, size: int, longest: int) -> None:
    texts = [text for text in corpus_texts() if len(text) < longest]
    server = [to_html(text) for text in texts]
    assert await call(page, "streams", texts, server, size) == []


@in_both
async def test_it_streams_an_answer_to_the_same_page_however_it_is_cut(page: Page) -> None:
    for size in (1, 2, 3, 5, 8, 13, 21, 34, 55):
        assert await call(page, "streams", [ANSWER], [to_html(ANSWER)], size) == [], size


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not here")
async def test_it_shows_hostile_text_without_running_or_fetching_anything(page: Page) -> None:
    texts = hostile_texts()
    assert len(texts) > 4_000
    assert await call(page, "attack", texts, 10_000) == []


def of_length(shortest: int, longest: int) -> list[str]:
    return [text for text in hostile_texts() if shortest <= len(text) < longest]


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not here")
@pytest.mark.parametrize(
    ("shortest", "longest", "size"),
    [
        (0, 50, 1),
        (50, 300, 9),
        pytest.param(50, 100, 1, marks=pytest.mark.long),
        pytest.param(100, 1_000, 1, marks=pytest.mark.long),
    ],
)
async def test_it_runs_and_fetches_nothing_at_any_prefix(
    page: Page, shortest: int, longest: int, size: int
) -> None:
    texts = of_length(shortest, longest)
    assert len(texts) > 500
    assert await call(page, "attack", texts, size) == []


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not here")
async def test_it_fetches_nothing_at_any_prefix_of_an_answer_that_leaks(page: Page) -> None:
    texts = exfiltration_texts()
    assert len(texts) > 80
    assert await call(page, "attack", [text for text in texts if len(text) < 1_000], 1) == []


@pytest.mark.parametrize("language", ["python", "html", "javascript", "markdown", "php"])
async def test_it_colours_code_as_nodes_of_nothing_but_its_text(page: Page, language: str) -> None:
    sources = [
        'def f(x: int) -> str:\n    """<b> & \'quoted\' """\n    return f"{x} &amp; <"  # > &#x27;\n',
        "<script>alert(1)</script><img src=x onerror='alert(2)'><span class=\"a\">&lt;</span></span>",
        '</span><span class="x"> `${a > b && \'<i>\'}` <?php echo "<p>"; ?>',
        ANSWER,
    ]
    assert await call(page, "miscoloured", sources, language) == []


async def test_it_catches_up_in_steps_when_much_has_piled_up(page: Page) -> None:
    shown = await page.evaluate(
        """async (text) => {
             const { StreamView, stage } = window.harness;
             const frame = () => new Promise((done) => requestAnimationFrame(done));
             const steps = [];
             const view = new StreamView(stage, { onFlush: () => steps.push(view.splitter.text.length) });
             view.push(text);
             while (view.pending) await frame();
             view.finish(text, '');
             return { steps, whole: view.splitter.text === text };
           }""",
        "One **paragraph** of an answer. 😀\n\n" * 600,
    )
    assert shown["whole"] is True
    steps = [0, *shown["steps"]]
    assert len(steps) > 4
    assert max(after - before for before, after in pairwise(steps)) <= 4_001


async def test_it_keeps_the_selection_while_the_text_grows(page: Page) -> None:
    selected = await page.evaluate(
        """() => {
             const { StreamView, stage } = window.harness;
             const view = new StreamView(stage);
             const push = (text) => { view.pending = text; view.flush(); };
             push('The first sentence stays selected');
             const text = stage.querySelector('p').firstChild;
             getSelection().setBaseAndExtent(text, 4, text, 18);
             const more = [' while', ' more', ' comes.', '\\n\\nNext', ' paragraph', '\\n\\nThird'];
             for (const piece of more) push(piece);
             return String(getSelection());
           }"""
    )
    assert selected == "first sentence"


async def test_it_leaves_settled_blocks_alone(page: Page) -> None:
    same = await page.evaluate(
        """() => {
             const { StreamView, stage } = window.harness;
             const view = new StreamView(stage);
             const push = (text) => { view.pending = text; view.flush(); };
             push('# One\\n\\nTwo\\n\\nThree');
             push('\\n\\nFour');
             const nodes = [...stage.children].slice(0, 2);
             for (let i = 0; i < 30; i += 1) push(`\\n\\nMore **${i}**`);
             return nodes.every((node, i) => stage.children[i] === node);
           }"""
    )
    assert same is True
