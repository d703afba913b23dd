// The title in the bar and the mark on the tab.

import assert from "node:assert/strict";
import { test } from "node:test";

const listeners = [];
globalThis.document = {
  hidden: true, title: "Rivers · Chatsite",
  addEventListener: (name, listener) => listeners.push([name, listener]),
};
const { Title, markDone } = await import("../../static/js/title.js");

test("a hidden tab says once that an answer is there, until somebody looks", () => {
  markDone();
  markDone();
  assert.equal(document.title, "(done) Rivers · Chatsite");
  document.hidden = false;
  for (const [name, listener] of listeners) if (name === "visibilitychange") listener();
  assert.equal(document.title, "Rivers · Chatsite");
  markDone();
  assert.equal(document.title, "Rivers · Chatsite");
});

test("a title that comes after the answer leaves the mark", () => {
  Object.assign(document, { hidden: true, title: "New chat · Chatsite" });
  markDone();
  const button = { textContent: "", disabled: true, addEventListener: () => {} };
  new Title(button, () => {}).show("Lakes");
  assert.equal(document.title, "(done) Lakes · Chatsite");
  assert.equal(button.textContent, "Lakes");
});
