// Stopping what is on its way, on a page of notes.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Asking } from "../../static/js/asking.js";
import { reduce } from "../../static/js/reduce.js";
import { emptyThread } from "../../static/js/thread.js";

let asking;
let thread;
let done;
let composer;
let isSent;

beforeEach(() => {
  thread = emptyThread();
  done = [];
  isSent = false;
  composer = { text: "", field: { focus: () => done.push("focus") }, replace: (text) => (composer.text = text) };
  asking = new Asking({
    thread: () => thread,
    dispatch: (event) => (thread = reduce(thread, event).thread),
    composer,
    line: {
      withdraw: () => !isSent,
      settle: (id) => done.push(`settle ${id}`),
      stopWaiting: (id) => done.push(`stop ${id}`),
    },
    say: (text) => done.push(text),
    banner: { retract: (text) => done.push(`retract ${text}`) },
  });
});

const send = (id, text) => (thread = reduce(thread, { type: "local.send", turn_id: id, text }).thread);

test("it gives a question back that was not sent yet", () => {
  send("t1", "Why?");
  composer.text = "And how?";
  assert.equal(asking.stop(), true);
  assert.equal(composer.text, "Why?\nAnd how?");
  assert.deepEqual(thread.turns, []);
  assert.deepEqual(done, ["settle t1", "focus", "Not sent. Your text is back."]);
});

test("it stops a question that may have been sent, and another version that was asked for", () => {
  isSent = true;
  send("t1", "Why?");
  assert.equal(asking.stop(), true);
  assert.deepEqual([done, thread.turns.length], [["stop t1"], 1]);
  thread = { ...thread, turns: [{ ...thread.turns[0], status: "retrying" }] };
  isSent = false;
  assert.equal(asking.stop(), true);
  assert.deepEqual(done, ["stop t1", "stop t1"]);
});

test("it shows again what a wording had replaced that was not sent", () => {
  const before = { id: "t0", text: "Why?", generationId: null, status: "accepted", refusal: null };
  const turn = { id: "t1", text: "How?", generationId: null, status: "sending", refusal: null, replaced: [before] };
  const { thread: next } = reduce({ turns: [turn], generations: {} }, { type: "local.withdraw", turn_id: "t1" });
  assert.deepEqual(next.turns, [before]);
});

test("it has nothing to stop where nothing is under way", () => {
  assert.equal(asking.stop(), false);
  assert.deepEqual(done, []);
});

test("what said that one has to wait goes with the end of the answer", () => {
  asking.free();
  assert.match(done[0], /^retract An answer is being written/);
});
