import assert from "node:assert/strict";
import { test } from "node:test";

import { BlockSplitter } from "../../static/js/blocks.js";
import { createMarkdown } from "../../static/js/markdown.js";

const markdown = createMarkdown();

const ANSWER = `# Plan

Some *text* with \`code\`, **bold** and a [link](https://example.com).

1. one
2. two
   - nested
   - more

   still two
3. three

1. loose

2. items

   of a list

- another

- loose one

> quoted
> lines

| a | b |
|:--|--:|
| 1 | 2 |

\`\`\`python
def f(x):
    """\`\`\` not a fence"""

    return x
\`\`\`

$$
x^2 + y^2
$$

- [x] done
- [ ] open

Setext
------

Last paragraph, $a+b$.
`;

/** A small generator with a seed: the same pieces on every run. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

/** Streams a text in pieces as the page does; what the page shows at the end. */
function streamed(text, next, longest) {
  const splitter = new BlockSplitter(markdown);
  let settled = "";
  let tail = "";
  for (let at = 0; at < text.length; ) {
    const piece = text.slice(at, at + 1 + Math.floor(next() * longest));
    at += piece.length;
    if (splitter.appendToFence(piece)) continue;
    const step = splitter.append(piece);
    settled += step.settled;
    tail = step.tail;
  }
  splitter.isWhole = true;
  if (splitter.isCompleted) {
    const step = splitter.append("");
    settled += step.settled;
    tail = step.tail;
  }
  if (splitter.hasReferences || splitter.fence) return { html: splitter.renderAll(), settled };
  return { html: settled + tail, settled };
}

test("it ends with the same HTML as one render, however the text is cut", () => {
  const whole = markdown.render(ANSWER);
  for (let seed = 1; seed <= 200; seed += 1) {
    assert.equal(streamed(ANSWER, random(seed), seed % 40).html, whole, `seed ${seed}`);
  }
});

test("it never changes a settled block", () => {
  const whole = markdown.render(ANSWER);
  const splitter = new BlockSplitter(markdown);
  let settled = "";
  for (const character of ANSWER) {
    if (splitter.appendToFence(character)) continue;
    settled += splitter.append(character).settled;
    assert.ok(whole.startsWith(settled));
  }
  assert.ok(settled.length > whole.length / 2, "most of a long answer settles");
});

test("it does not settle what a later line may still join", () => {
  const splitter = new BlockSplitter(markdown);
  assert.equal(splitter.append("- one\n\n- two\n\npara").settled, "");
  assert.equal(splitter.append("graph\n\n").settled, "");
  assert.match(splitter.append("third\n\nfourth").settled, /one/);
});

test("it lets a list take its next item after a blank line", () => {
  const splitter = new BlockSplitter(markdown);
  const first = splitter.append("para\n\n1. loose\n\n2").settled;
  const { settled, tail } = splitter.append(". items");
  assert.equal(first + settled + tail, markdown.render("para\n\n1. loose\n\n2. items"));
});

test("it grows an open code block without a render and stops at its end", () => {
  const splitter = new BlockSplitter(markdown);
  splitter.append("```js\nlet a");
  assert.equal(splitter.appendToFence(" = 1;\n\n  let b"), true);
  assert.equal(splitter.appendToFence("\n``"), false);
  const { tail } = splitter.append("\n```\nafter");
  assert.match(tail, /<p>after<\/p>/);
});

test("it takes an indented code block the slow way", () => {
  const splitter = new BlockSplitter(markdown);
  splitter.append("  ```\n  a");
  assert.equal(splitter.appendToFence("b"), false);
});

test("it reads a line end that was cut in two", () => {
  const text = "a\r\n\r\nb\r\n\r\n```\r\nc\r\n```\r\n";
  for (let seed = 1; seed <= 50; seed += 1) {
    assert.equal(streamed(text, random(seed), 3).html, markdown.render(text), `seed ${seed}`);
  }
});

test("it knows when a link was defined after its use", () => {
  const text = "See [the paper][p].\n\nMore.\n\nAnd more.\n\n[p]: https://example.com/p\n";
  assert.equal(streamed(text, random(3), 5).html, markdown.render(text));
});

test("it does not keep half a link definition", () => {
  const splitter = new BlockSplitter(markdown);
  for (const character of "[p]: https://exa\n") splitter.append(character);
  const later = new BlockSplitter(markdown);
  later.append("[p]: https://exa");
  const { tail } = later.append("mple.com\n\n[p]");
  assert.match(tail, /href="https:\/\/example.com"/);
});
