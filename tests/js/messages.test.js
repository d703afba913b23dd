// What the tools of one message do to a thread.

import assert from "node:assert/strict";
import { test } from "node:test";

import { reduce } from "../../static/js/reduce.js";
import { goesWith } from "../../static/js/removal.js";
import { adopted } from "../../static/js/thread.js";
import { linkTo, turnIn } from "../../static/js/turn_link.js";

const ID = "0b0e7c1e-1111-4222-8333-444455556666";
const turn = (id, siblings = [id]) => ({ id, text: id, siblings, versions: [], generation: null });
const ids = (thread) => thread.turns.map((one) => one.id);

test("a link names the question for the server and for the page", () => {
  const link = new URL(linkTo("https://chat.example/c/1/", ID));
  assert.equal(link.searchParams.get("turn"), ID);
  assert.equal(turnIn(link.hash), ID);
  for (const other of ["", "#rail", "#turn-", `#turn-${ID}"]`]) assert.equal(turnIn(other), "");
});

test("a question goes alone, one of several wordings with its branch", () => {
  const { turns } = adopted([turn("a"), turn("b", ["b", "b2"]), turn("c")]);
  assert.deepEqual(goesWith(turns, "a").map((one) => one.id), ["a"]);
  assert.deepEqual(goesWith(turns, "b").map((one) => one.id), ["b", "c"]);
  assert.deepEqual(goesWith(turns, "x"), []);
});

test("what was removed comes back to its place, once", () => {
  const thread = adopted([turn("a"), turn("b"), turn("c")]);
  const gone = [thread.turns[1]];
  const { thread: without } = reduce(thread, { type: "local.remove", turn_ids: ["b"] });
  assert.deepEqual(ids(without), ["a", "c"]);
  const back = { type: "local.restore", turns: gone, at: 1 };
  const { thread: restored } = reduce(without, back);
  assert.deepEqual(ids(restored), ["a", "b", "c"]);
  assert.deepEqual(ids(reduce(restored, back).thread), ["a", "b", "c"]);
});

test("another tab's removal takes the question off this page", () => {
  const thread = adopted([turn("a"), turn("b")]);
  const event = { type: "conversation.updated", change: "removed", turn_ids: ["b", "unknown"] };
  assert.deepEqual(ids(reduce(thread, event).thread), ["a"]);
  assert.equal(reduce(thread, { ...event, turn_ids: ["unknown"] }).thread, thread);
});
