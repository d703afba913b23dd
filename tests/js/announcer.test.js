import assert from "node:assert/strict";
import { test } from "node:test";

import { Announcer, sentences, spoken } from "../../static/js/announcer.js";

/** @param {boolean} reads */
function heard(reads) {
  const [polite, urgent] = [{ textContent: "" }, { textContent: "" }];
  const clock = { now: 0 };
  const announcer = new Announcer({ polite, urgent }, { reads: () => reads, now: () => clock.now });
  return { polite, urgent, clock, announcer };
}

test("it takes whole sentences only", () => {
  assert.deepEqual(sentences("One. Two is 3.5 long. Thr", 0), { words: "One. Two is 3.5 long.", end: 21 });
  assert.deepEqual(sentences("no end yet", 0), { words: "", end: 0 });
});

test("it speaks without the signs of Markdown", () => {
  assert.equal(spoken("## A **bold** [link](https://example.com)\n- `code`\n```js\nx = 1\n```"), "A bold link code x = 1");
});

test("it says nothing of the words unless that is wished", () => {
  const { polite, announcer } = heard(false);
  announcer.grown("g", "One. Two. ");
  assert.equal(polite.textContent, "");
  announcer.ended("g", "One. Two.", "Response complete, 2 words");
  assert.equal(polite.textContent, "Response complete, 2 words");
});

test("it reads each sentence once, at most every three seconds, and the rest at the end", () => {
  const { polite, clock, announcer } = heard(true);
  announcer.grown("g", "One. Tw");
  assert.equal(polite.textContent, "One.");
  clock.now = 1000;
  announcer.grown("g", "One. Two. Three. F");
  assert.equal(polite.textContent, "One.");
  clock.now = 3000;
  announcer.grown("g", "One. Two. Three. Fo");
  assert.equal(polite.textContent, "Two. Three.");
  announcer.ended("g", "One. Two. Three. Four", "Response complete, 4 words");
  assert.equal(polite.textContent, "Four Response complete, 4 words");
});

test("it begins anew with another answer", () => {
  const { polite, announcer } = heard(true);
  announcer.grown("g", "One. ");
  announcer.grown("h", "Other. ");
  assert.equal(polite.textContent, "Other.");
});
