import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { completed } from "../../static/js/half_open.js";
import { createMarkdown } from "../../static/js/markdown.js";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
const CORPORA = process.env.CHATSITE_CORPORA ?? join(ROOT, "../shared/corpora");
const PAIRS = join(CORPORA, "markdown/markdown_incomplete_pairs.json");

const markdown = createMarkdown();
const words = (html) => html.replace(/<[^>]*>/g, "");

const CASES = [
  ["Some **bo", "Some **bo**"],
  ["Some **bold*", "Some **bold**"],
  ["a *b **c", "a *b **c***"],
  ["***both", "***both***"],
  ["use `pri", "use `pri`"],
  ["**a `b", "**a `b`**"],
  ["~~gone", "~~gone~~"],
  ["see [the page](https://exam", "see the page"],
  ["- one\n- **two", "- one\n- **two**"],
  ["> **said", "> **said**"],
  ["2 * 3 = 6 and 5*4", "2 * 3 = 6 and 5*4"],
  ["snake_case_name", "snake_case_name"],
  ["done **bold** text", "done **bold** text"],
  ["the end **", "the end "],
  ["$$\nx^2 + y", "$$\nx^2 + y$$"],
  ["\\[ x_1", "\\[ x_1\\]"],
  ["so \\(a_1", "so \\(a_1\\)"],
  ["| a | b", "| a | b\n| --- | --- |"],
  ["| a | b |\n|--", "| a | b |\n| --- | --- |"],
  ["| a | b |\n|---|---|\n| **x | y |", "| a | b |\n|---|---|\n| **x | y |"],
  ["```python\n**not bold", "```python\n**not bold"],
  ["```\n***\n```\n**text", "```\n***\n```\n**text**"],
  ["\\*not open", "\\*not open"],
  ["plain words", "plain words"],
];

for (const [input, wanted] of CASES) {
  test(`it shows ${JSON.stringify(input)} as it will be`, () => {
    assert.equal(completed(input).trimEnd(), wanted.trimEnd());
  });
}

test("it never shows a marker of what is only half there", () => {
  const text = "Some **bold words** and *slanted ones*, `code **here**`, ~~no~~ [a page](https://example.com/a).\n\n"
    + "1. **First**: a *b* `c`\n2. ***both*** of them\n\n| **h** | i |\n|---|---|\n| `x` | *y* |\n\nEnd.";
  for (let length = 1; length <= text.length; length += 1) {
    const shown = words(markdown.render(completed(text.slice(0, length))).replace(/<code[^>]*>[^<]*<\/code>/g, ""));
    assert.ok(!/\*|`|~~|\]\(|https/.test(shown), `${length}: ${shown}`);
  }
});

test("it takes no time that counts for a long paragraph", () => {
  const text = "a *b `c [d ".repeat(4000);
  const started = performance.now();
  completed(text);
  assert.ok(performance.now() - started < 400);
});

// Where we show something else than these pairs do, on purpose, and how it is recognised.
const DEVIATIONS = {
  "a tag is text": /<[A-Za-z/!]/,
  "brackets without an address stay, with half an address they go": /!?\[/,
  "markers that nothing follows yet are not shown": /(?:^|\s)[*_~`]+\s*$|^text`$/,
  "a number after a list's marker and > is a quotation": /^\s*(?:[-*+]|\d+[.)]) >/,
  "what is open inside code is code": /`/,
  "both runs are closed": /\*\*.*\*|__.*_/,
  "markers of one paragraph may stand on two lines": /\*\*text\nmore/,
  "a run that a space follows opens nothing": /^- (?:__|\*\*) text after$/,
  "what is open ends with its cell": /^\| \*\*/,
  "three dollar signs are half an end": /^\$\$\$$/,
  "an end that a blank line follows is as it stands": /^_incomplete\n\n$/,
  "a star inside a word opens nothing": /\w\*\w/,
};

test("it completes the pairs of half-open Markdown, but for what is listed", { skip: !existsSync(PAIRS) }, () => {
  const pairs = JSON.parse(readFileSync(PAIRS, "utf8"));
  const differing = pairs.filter(({ input, completed: wanted }) =>
    markdown.render(completed(input)).trim() !== markdown.render(wanted).trim());
  const unexplained = differing.filter(({ input }) => !Object.values(DEVIATIONS).some((pattern) => pattern.test(input)));
  assert.deepEqual(unexplained.map(({ input, completed: wanted }) => [input, completed(input), wanted]), []);
  assert.ok(pairs.length > 380);
  assert.ok(differing.length < pairs.length * 0.3, `${differing.length}`);
  for (const [reason, pattern] of Object.entries(DEVIATIONS)) {
    assert.ok(differing.some(({ input }) => pattern.test(input)), `no pair needs: ${reason}`);
  }
});
