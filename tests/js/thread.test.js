import assert from "node:assert/strict";
import { test } from "node:test";

import { reduce } from "../../static/js/reduce.js";
import { emptyThread, isBusy, isCut, liveGeneration, newGeneration, shownText } from "../../static/js/thread.js";
import { play } from "./play.js";

const TURN = "t1";
const GENERATION = "g1";

const ask = { type: "local.send", turn_id: TURN, text: "Why?" };
const accepted = { type: "turn.accepted", turn_id: TURN, generation_id: GENERATION, estimate: {} };
const started = { type: "generation.started", generation_id: GENERATION, turn_id: TURN, model: "demo:x", epoch: 1, seq: 0 };
const delta = (seq, text) => ({ type: "delta", generation_id: GENERATION, seq, text });
const completed = (text, seq) => ({
  type: "generation.completed", generation_id: GENERATION, turn_id: TURN, seq, text, html: "<p>x</p>\n",
  receipt: { total_tokens: 3 },
});
const answer = (thread) => thread.generations[GENERATION];
const sent = (effects) => effects.filter((effect) => effect.do === "send").map((effect) => effect.frame);

test("it shows a question before the server has answered", () => {
  const { thread } = play([ask]);
  assert.deepEqual(thread.turns.map((turn) => [turn.text, turn.status]), [["Why?", "sending"]]);
  assert.equal(isBusy(thread), true);
});

test("it tells an answer that was cut from a whole one", () => {
  const { thread } = play([ask, accepted, started, delta(1, "x"), completed("x", 1)]);
  assert.equal(isCut(answer(thread)), false);
  const cut = { ...completed("x", 1), options: [{ action: "continue", label: "Continue" }] };
  assert.equal(isCut(answer(play([ask, accepted, started, delta(1, "x"), cut]).thread)), true);
});

test("it shows a question once however often it is sent", () => {
  assert.equal(play([ask, ask]).thread.turns.length, 1);
});

test("it joins deltas in order and ends with the server's text", () => {
  const { thread, effects } = play([ask, accepted, started, delta(1, "Be"), delta(2, "cause"), completed("Because", 2)]);
  assert.equal(answer(thread).text, "Because");
  assert.equal(answer(thread).state, "completed");
  assert.equal(isBusy(thread), false);
  assert.deepEqual(effects.map((effect) => effect.do), ["accepted", "finished"]);
});

test("it drops a delta that it has already", () => {
  const { thread } = play([ask, accepted, started, delta(1, "a"), delta(1, "a"), delta(2, "b"), delta(1, "a")]);
  assert.equal(answer(thread).text, "ab");
});

test("it asks for the rest once when there is a gap, and takes it", () => {
  const gap = play([ask, accepted, started, delta(1, "a"), delta(3, "c"), delta(4, "d")]);
  assert.equal(answer(gap.thread).text, "a");
  assert.deepEqual(sent(gap.effects), [{ type: "stream.resume", generation_id: GENERATION, after_seq: 1, epoch: 1 }]);
  const rest = play([delta(2, "b"), delta(3, "c"), delta(4, "d")], gap.thread);
  assert.equal(answer(rest.thread).text, "abcd");
});

test("it asks again when a second gap opens", () => {
  const { effects } = play([ask, accepted, started, delta(2, "b"), delta(1, "a"), delta(5, "e")]);
  assert.deepEqual(sent(effects).map((frame) => frame.after_seq), [0, 1]);
});

test("it does not ask for the beginning of an answer that it has just asked for", () => {
  assert.deepEqual(sent(play([ask, accepted, started]).effects), []);
});

test("it resumes after a reconnect from the last delta it has", () => {
  const before = play([ask, accepted, started, delta(1, "a"), delta(2, "b")]).thread;
  const { thread, effects } = play([{ type: "local.connected" }, { ...started, seq: 7 }], before);
  assert.deepEqual(sent(effects), [{ type: "stream.resume", generation_id: GENERATION, after_seq: 2, epoch: 1 }]);
  assert.equal(answer(thread).text, "ab");
});

test("it asks after a reconnect at once: the answer may have ended, and then nobody says so", () => {
  const before = play([ask, accepted, started, delta(1, "a")]).thread;
  const { thread, effects } = play([{ type: "local.connected" }], before);
  assert.deepEqual(sent(effects).map((frame) => frame.after_seq), [1]);
  const ended = { type: "generation.completed", generation_id: GENERATION, turn_id: TURN, seq: 2, text: "ab" };
  assert.equal(answer(play([ended], thread).thread).text, "ab");
});

test("it resumes after a reconnect even before the first delta", () => {
  const before = play([ask, accepted, started]).thread;
  const { effects } = play([{ type: "local.connected" }, started], before);
  assert.deepEqual(sent(effects).map((frame) => frame.after_seq), [0]);
});

test("it starts over when the epoch is another", () => {
  const before = play([ask, accepted, started, delta(1, "lost")]).thread;
  const { thread } = play([{ ...started, epoch: 2 }, delta(1, "new")], before);
  assert.equal(answer(thread).text, "new");
});

test("it starts over when the server has fewer deltas than it just asked to continue after", () => {
  const before = play([ask, accepted, started, delta(1, "a"), delta(2, "b"), { type: "local.connected" }]).thread;
  const first = play([{ ...started, seq: 1 }], before);
  assert.equal(answer(first.thread).text, "ab", "a follower that has not caught up is no loss");
  const second = play([{ ...started, seq: 1 }], first.thread);
  assert.equal(answer(second.thread).text, "");
  assert.deepEqual(sent(second.effects), [], "the server sends everything again by itself");
});

test("it learns of a question that another tab asked", () => {
  const told = { type: "conversation.updated", change: "turn", turn_id: TURN, text: "Why?", generation_id: GENERATION };
  const { thread, effects } = play([told, started, delta(1, "So.")]);
  assert.equal(thread.turns[0].text, "Why?");
  assert.equal(answer(thread).text, "So.");
  assert.deepEqual(sent(effects).map((frame) => frame.type), ["stream.resume"]);
});

test("it asks for the question of an answer that it has never seen", () => {
  assert.deepEqual(play([started]).effects, [{ do: "catch-up" }]);
});

test("it asks for an answer of which it hears the wait or the end first", () => {
  const told = { type: "conversation.updated", change: "turn", turn_id: TURN, text: "Why?" };
  const shown = play([told]).thread;
  for (const type of ["generation.waiting", "generation.completed", "generation.stopped", "generation.failed"]) {
    const event = { type, turn_id: TURN, generation_id: "another" };
    assert.deepEqual(play([event]).effects, [{ do: "catch-up" }], type);
    assert.deepEqual(play([event], shown).effects, [{ do: "load-turn", turnId: TURN, isNews: true }], type);
    const versions = { ...shown, turns: [{ ...shown.turns[0], versions: ["another", GENERATION] }] };
    assert.deepEqual(play([event], versions).effects, [], `${type} of a version that is not shown`);
  }
});

test("it gives the text back when a question is refused", () => {
  const refused = { type: "turn.refused", turn_id: TURN, code: "message_too_long", detail: "Too long." };
  const { thread, effects } = play([ask, refused]);
  assert.equal(thread.turns[0].status, "refused");
  assert.equal(isBusy(thread), false);
  assert.equal(effects[0].do, "refused");
  assert.equal(effects[0].text, "Why?");
});

test("it puts a question asked anew in the place of the refused one", () => {
  const refused = { type: "turn.refused", turn_id: TURN, code: "budget_exceeded", detail: "No." };
  const { thread } = play([ask, refused, { ...ask, turn_id: "t2" }]);
  assert.deepEqual(thread.turns.map((turn) => turn.id), ["t2"]);
});

test("it keeps the present answer when another version is refused", () => {
  const done = play([ask, accepted, started, delta(1, "a"), completed("a", 1)]).thread;
  const retry = play([{ type: "local.retry", turn_id: TURN, generation_id: "g2" }], done);
  assert.equal(isBusy(retry.thread), true);
  const { thread, effects } = play([{ type: "turn.refused", turn_id: TURN, code: "budget_exceeded", detail: "No." }], retry.thread);
  assert.equal(thread.turns[0].generationId, GENERATION);
  assert.equal(isBusy(thread), false);
  assert.deepEqual(effects.map((effect) => effect.do), ["problem"]);
});

test("it shows a new version only when it is accepted", () => {
  const done = play([ask, accepted, started, delta(1, "a"), completed("a", 1)]).thread;
  const { thread } = play([
    { type: "local.retry", turn_id: TURN, generation_id: "g2" },
    { ...accepted, generation_id: "g2" },
  ], done);
  assert.equal(thread.turns[0].generationId, "g2");
  assert.equal(liveGeneration(thread).id, "g2");
});

test("it continues in the same bubble and trims what is said twice", () => {
  const cut = { ...completed("The quick brown fox", 1), type: "generation.interrupted" };
  const done = play([ask, accepted, started, delta(1, "The quick brown fox"), cut]).thread;
  const { thread } = play([
    { type: "local.continue", turn_id: TURN, generation_id: "g2" },
    { ...accepted, generation_id: "g2" },
    { ...started, generation_id: "g2", continues: GENERATION },
    { type: "delta", generation_id: "g2", seq: 1, text: "brown fox" },
    { type: "delta", generation_id: "g2", seq: 2, text: " jumps" },
  ], done);
  assert.equal(shownText(thread.generations.g2), "The quick brown fox jumps");
});

test("it says that it stops at once and sends the stop", () => {
  const { thread, effects } = play([ask, accepted, started, delta(1, "a"), { type: "local.stop" }]);
  assert.equal(answer(thread).stopping, true);
  assert.deepEqual(sent(effects), [{ type: "turn.stop", turn_id: TURN }]);
});

test("it ignores what comes after the end", () => {
  const { thread } = play([ask, accepted, started, delta(1, "a"), completed("a", 1), delta(2, "b"), completed("z", 9)]);
  assert.equal(answer(thread).text, "a");
});

test("it shows what it waits for, and forgets it when the answer starts", () => {
  const waiting = { type: "generation.waiting", generation_id: GENERATION, reason: "rate_limit", wait_seconds: 3, attempt: 1, max_attempts: 5 };
  const held = play([ask, accepted, started, waiting]).thread;
  assert.equal(answer(held).state, "waiting");
  assert.equal(answer(held).waiting.maxAttempts, 5);
  const { thread } = play([{ ...started, epoch: 2 }, delta(1, "a")], held);
  assert.equal(answer(thread).waiting, null);
  assert.equal(answer(thread).state, "streaming");
});

test("it leaves the state alone on an event of unknown type", () => {
  const thread = emptyThread();
  assert.equal(reduce(thread, { type: "toString" }).thread, thread);
  assert.equal(reduce(thread, { type: "from.the.future" }).thread, thread);
});

test("it keeps the identity of what did not change", () => {
  const other = newGeneration({ id: "g0", turnId: "t0", state: "completed" });
  const thread = { turns: [{ id: "t0", text: "", generationId: "g0", status: "accepted", refusal: null }], generations: { g0: other } };
  const after = play([ask, accepted, started, delta(1, "a")], thread).thread;
  assert.equal(after.generations.g0, other);
});

test("it takes no wait of an attempt that another one has followed", () => {
  const waiting = { type: "generation.waiting", generation_id: GENERATION, reason: "retry", wait_seconds: 3, attempt: 1, max_attempts: 5, epoch: 1 };
  const again = { ...started, epoch: 2 };
  assert.equal(answer(play([ask, accepted, started, waiting, again, waiting]).thread).state, "running");
});

test("it keeps who answers instead and what a wait offers", () => {
  const options = [{ action: "switch", label: "Use B now", model: "b" }, { action: "stop", label: "Cancel" }];
  const waiting = { type: "generation.waiting", generation_id: GENERATION, reason: "choice", epoch: 1, options, detail: "Busy." };
  const step = play([ask, accepted, started, waiting]);
  assert.deepEqual(answer(step.thread).waiting.options, options);
  const notes = [{ code: "fallback", detail: "B answers." }];
  const passed = play([ask, accepted, started, waiting, { ...started, epoch: 2, model: "b", notes }]).thread;
  assert.deepEqual(answer(passed).notes, notes);
  assert.equal(answer(passed).model, "b");
});

test("it shows no longer what another tab or a program has deleted", () => {
  const cleared = { type: "conversation.updated", change: "cleared" };
  assert.deepEqual(play([cleared], play([ask, accepted]).thread).effects, [{ do: "reload" }]);
  assert.deepEqual(play([cleared]).effects, []);
});
