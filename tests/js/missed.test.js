import assert from "node:assert/strict";
import { test } from "node:test";

import { CatchUp } from "../../static/js/catch_up.js";
import { Outline } from "../../static/js/outline.js";
import { shownText } from "../../static/js/thread.js";
import { play } from "./play.js";

const told = (id, generation, { state = "completed", versions = [generation], ...values } = {}) => ({
  id, text: `Question ${id}`, siblings: [id], versions,
  generation: { id: generation, state, epoch: 1, seq: 5, model: "demo:x", html: state === "completed" ? "<p>x</p>" : "", receipt: null, error: null, ...values },
});
const two = play([{ type: "local.older", turns: [told("t1", "g1"), told("t2", "g2")] }]).thread;
const head = (turn, generation, state = "completed", last = turn) => ({
  type: "conversation.updated", change: "head", head_turn_id: last, turn_id: turn, generation_id: generation, state,
});
const resume = (id, after = 0, epoch = 0) => ({
  do: "send", frame: { type: "stream.resume", generation_id: id, after_seq: after, epoch },
});

test("it asks for nothing where it has everything", () => {
  for (const event of [head("t2", "g2"), head("t1", "g1", "completed", "t2")]) {
    const { thread, effects } = play([event], two);
    assert.deepEqual(effects, []);
    assert.equal(thread, two);
  }
  assert.deepEqual(play([head(null, null, null)]).effects, []);
});

test("it asks for nothing of an answer that it hears of", () => {
  const events = [
    { type: "local.send", turn_id: "t3", text: "Why?" }, { type: "turn.accepted", turn_id: "t3", generation_id: "g3" },
  ];
  assert.deepEqual(play([head("t3", "g3", "running")], play(events, two).thread).effects, []);
});

test("it asks for a question that it has never heard of, running or over", () => {
  for (const state of ["running", "completed"]) {
    assert.deepEqual(play([head("t3", "g3", state)], two).effects, [{ do: "catch-up" }]);
  }
});

test("it asks for the first question of all", () => {
  assert.deepEqual(play([head("t1", "g1")]).effects, [{ do: "catch-up" }]);
});

test("it asks where the branch ends otherwise than here, or nothing is left", () => {
  assert.deepEqual(play([head("t1", "g1")], two).effects, [{ do: "catch-up" }]);
  assert.deepEqual(play([head(null, null, null)], two).effects, [{ do: "catch-up" }]);
});

test("a question on its way is nobody's business yet", () => {
  const { thread } = play([{ type: "local.send", turn_id: "t3", text: "Why?" }], two);
  assert.deepEqual(play([head("t2", "g2")], thread).effects, []);
  const again = play([{ type: "local.regenerate", turn_id: "t2", generation_id: "g3" }], two).thread;
  assert.deepEqual(play([head("t2", "g3", "queued")], again).effects, []);
});

test("it asks for the version of an answer that it has never heard of, in the middle too", () => {
  const { effects } = play([head("t1", "g9", "completed", "t2")], two);
  assert.deepEqual(effects, [{ do: "load-turn", turnId: "t1", isNews: true }]);
});

test("a version that is not the one shown is no news", () => {
  const { thread } = play([{ type: "local.version", turn: told("t2", "g2", { versions: ["g2", "g3"] }) }], two);
  assert.deepEqual(play([head("t2", "g3")], thread).effects, []);
});

test("it asks for the rest of an answer whose end it has missed, whatever was begun since", () => {
  const other = { type: "conversation.updated", change: "turn", turn_id: "t3", generation_id: "g3", text: "Why?" };
  const started = { type: "generation.started", turn_id: "t3", generation_id: "g3", epoch: 1, seq: 0, model: "demo:x" };
  const delta = { type: "delta", generation_id: "g3", seq: 1, text: "So" };
  const { thread } = play([other, started, delta], two);
  assert.deepEqual(play([head("t3", "g3", "streaming")], thread).effects, []);
  assert.deepEqual(play([head("t3", "g3")], thread).effects, [resume("g3", 1, 1)]);
  assert.deepEqual(play([head("t4", "g4", "running")], thread).effects, [resume("g3", 1, 1), { do: "catch-up" }]);
});

test("it asks for an answer of which it has only heard that it was asked", () => {
  const other = { type: "conversation.updated", change: "turn", turn_id: "t3", generation_id: "g3", text: "Why?" };
  const { thread, effects } = play([other, head("t3", "g3", "waiting")], two);
  assert.deepEqual(effects, [resume("g3")]);
  assert.deepEqual(play([head("t3", "g3", "waiting")], thread).effects, [], "once");
});

test("it takes in what it has missed: the words of a live answer from its stream", () => {
  const turns = [told("t3", "g3", { receipt: { total_tokens: 7 } }), told("t4", "g4", { state: "streaming" })];
  const { thread, effects } = play([{ type: "local.newer", turns }], two);
  assert.deepEqual(thread.turns.map((turn) => turn.id), ["t1", "t2", "t3", "t4"]);
  assert.deepEqual(effects, [resume("g4"), { do: "learned", generationIds: ["g3"] }]);
  const started = { type: "generation.started", turn_id: "t4", generation_id: "g4", epoch: 1, seq: 2, model: "demo:x" };
  const rest = play([started, { type: "delta", generation_id: "g4", seq: 1, text: "a" }], thread);
  assert.deepEqual(rest.effects, [], "it has been asked for already");
  assert.equal(rest.thread.generations.g4.text, "a");
});

test("what it has already, it takes in once; a question on its way stays the last one", () => {
  const { thread } = play([{ type: "local.send", turn_id: "t9", text: "Why?" }], two);
  const news = { type: "local.newer", turns: [told("t2", "g2"), told("t3", "g3")] };
  const { thread: next } = play([news, news], thread);
  assert.deepEqual(next.turns.map((turn) => turn.id), ["t1", "t2", "t3", "t9"]);
});

test("an answer that continues one whose words are not here is loaded with them", () => {
  const events = [
    { type: "local.continue", turn_id: "t2", generation_id: "g3" }, { type: "turn.accepted", turn_id: "t2", generation_id: "g3" },
  ];
  const step = play(events, two);
  assert.deepEqual(step.effects.slice(1), [{ do: "accepted", turnId: "t2" }, { do: "load-turn", turnId: "t2", isNews: true }]);
  const started = { type: "generation.started", turn_id: "t2", generation_id: "g3", epoch: 1, seq: 0, model: "demo:x", continues: "g2" };
  const early = play([started, { type: "delta", generation_id: "g3", seq: 1, text: "c" }], step.thread);
  assert.deepEqual(early.effects, [{ do: "load-turn", turnId: "t2", isNews: true }]);
  const turn = told("t2", "g3", { state: "streaming", prefix: "ab" });
  const loaded = play([{ type: "local.version", turn, isNews: true }], early.thread);
  assert.deepEqual(loaded.effects, [resume("g3")]);
  const { thread, effects } = play([started, { type: "delta", generation_id: "g3", seq: 1, text: "c" }], loaded.thread);
  assert.equal(shownText(thread.generations.g3), "abc");
  assert.deepEqual(thread.turns[1].versions, ["g3"]);
  assert.deepEqual(play([{ type: "local.version", turn, isNews: true }], thread), { thread, effects: [] }, "what is here is ahead");
});

// --- What changed in the middle ---------------------------------------------------------

const stands = (id, generation, wordings = 1) => ({ id, generation_id: generation, wordings });
const LISTED = { title: "Rivers", pinned: false, listed: true };
const outline = (turns, whole = true) => ({ type: "local.outline", turns, whole, conversation: LISTED });
/** What it does to the thread; how the conversation stands in the list is compared each time. */
function compare(event, thread) {
  const step = play([event], thread);
  assert.deepEqual(step.effects.shift(), { do: "listed", conversation: event.conversation });
  return step;
}
const load = (id, isNews = false) => ({ do: "load-turn", turnId: id, isNews });

test("it compares the middle where the server counts its changes", () => {
  const { effects } = play([{ ...head("t2", "g2"), revision: 3 }], two);
  assert.deepEqual(effects, [{ do: "compare", revision: 3 }]);
});

test("what is as on the page changes nothing", () => {
  const step = compare(outline([stands("t1", "g1"), stands("t2", "g2")]), two);
  assert.deepEqual([step.thread, step.effects], [two, []]);
});

test("it takes off what is gone, and only that", () => {
  const { thread } = play([{ type: "local.send", turn_id: "t9", text: "Why?" }], two);
  const left = play([outline([stands("t2", "g2")])], thread).thread;
  assert.deepEqual(left.turns.map(({ id }) => id), ["t2", "t9"]);
  const older = play([outline([stands("t2", "g2")], false)], thread).thread;
  assert.deepEqual(older.turns.map(({ id }) => id), ["t1", "t2", "t9"], "what lies before the outline is not known");
  const other = play([outline([stands("t7", "g7")], false)], thread).thread;
  assert.equal(other, thread);
  assert.deepEqual(play([outline([])], two).thread.turns, []);
});

test("it loads the answer of which another version is shown, and the question with other wordings", () => {
  const versions = { type: "local.version", turn: told("t1", "g1", { versions: ["g0", "g1"] }) };
  const { thread } = play([versions], two);
  assert.deepEqual(compare(outline([stands("t1", "g0"), stands("t2", "g2")]), thread).effects, [load("t1")]);
  assert.deepEqual(compare(outline([stands("t1", "g8"), stands("t2", "g2")]), thread).effects, [load("t1", true)]);
  assert.deepEqual(compare(outline([stands("t1", "g1"), stands("t2", "g2", 2)]), thread).effects, [load("t2")]);
});

test("what is being written here is ahead of any outline", () => {
  const live = play([{ type: "local.newer", turns: [told("t3", "g3", { state: "streaming" })] }], two).thread;
  const step = compare(outline([stands("t1", "g1"), stands("t2", "g2")]), live);
  assert.deepEqual([step.thread, step.effects], [live, []]);
});

// --- Loading --------------------------------------------------------------------------

globalThis.document = { querySelector: () => null };
globalThis.HTMLInputElement = class {};

function catchUp(answers, values = {}) {
  const asked = [];
  const done = [];
  globalThis.fetch = async (url) => {
    asked.push(url);
    return Response.json({ conversation: LISTED, ...answers.shift() });
  };
  const page = { thread: two };
  const made = new CatchUp({
    url: () => "/c/1/", thread: () => page.thread, dispatch: (event) => done.push(event),
    isGone: () => false, isSwitching: () => false, ...values,
  }, () => done.push("reload"));
  return { made, page, asked, done };
}

test("it loads what follows the last question that the server has", async () => {
  const { made, asked, done } = catchUp([{ turns: [told("t3", "g3")], whole: true }]);
  await Promise.all([made.load(), made.load()]);
  assert.deepEqual(asked, ["/c/1/turns/newer/?after=t2"]);
  assert.deepEqual(done, [{ type: "local.newer", turns: [told("t3", "g3")], conversation: LISTED }]);
  const { effects } = play(done, two);
  assert.deepEqual(effects[0], { do: "listed", conversation: LISTED }, "its first question gave it a title");
});

test("it loads the page anew only where the branch is another", async () => {
  const { made, done } = catchUp([{ turns: [], whole: false }]);
  await made.load();
  assert.deepEqual(done, ["reload"]);
  const switching = catchUp([{ turns: [], whole: false }], { isSwitching: () => true });
  await switching.made.load();
  assert.deepEqual(switching.done, []);
});

test("it asks again when the page has moved on meanwhile", async () => {
  const { made, page, asked, done } = catchUp([{ turns: [], whole: false }, { turns: [], whole: true }]);
  const loading = made.load();
  page.thread = play([{ type: "local.newer", turns: [told("t3", "g3")] }], two).thread;
  await loading;
  assert.deepEqual(asked.map((url) => url.slice(-2)), ["t2", "t3"]);
  assert.deepEqual(done, [{ type: "local.newer", turns: [], conversation: LISTED }]);
});

test("what was deleted here does not come back", async () => {
  const { made, done } = catchUp([{ turns: [told("t3", "g3")], whole: true }], { isGone: (id) => id === "t3" });
  await made.load();
  assert.deepEqual(done, [{ type: "local.newer", turns: [], conversation: LISTED }]);
});

test("it asks again where it got no answer, and not where it was refused", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { made, asked, done } = catchUp([{ turns: [], whole: true }]);
  const answers = globalThis.fetch;
  globalThis.fetch = async () => { throw new TypeError("no line"); };
  await made.load();
  assert.deepEqual([asked, done], [[], []]);
  globalThis.fetch = answers;
  context.mock.timers.tick(3000);
  await made.loading;
  assert.equal(done.length, 1);
  globalThis.fetch = async () => Response.json({}, { status: 404 });
  await made.load();
  globalThis.fetch = answers;
  context.mock.timers.tick(60_000);
  assert.deepEqual([asked.length, made.loading], [1, null]);
});

test("it asks for the outline once for each revision, with more than it shows, and again where it got no answer", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const [asked, done] = [[], []];
  const answers = [null, { revision: 4, turns: [], whole: true }, { revision: 5, turns: [], whole: true }];
  globalThis.fetch = async (url) => {
    asked.push(url);
    const answer = answers.shift();
    if (!answer) throw new TypeError("no line");
    return Response.json(answer);
  };
  const made = new Outline({ url: () => "/c/1/", revision: 3, thread: () => two, dispatch: (event) => done.push(event) });
  await made.compare(3);
  assert.deepEqual(asked, []);
  await made.compare(4);
  assert.deepEqual([asked, done], [["/c/1/turns/outline/?last=52"], []]);
  context.mock.timers.tick(3000);
  await made.compare(5);
  for (let turn = 0; turn < 20; turn += 1) await new Promise((next) => setImmediate(next));
  assert.deepEqual(done.map(({ type, revision }) => [type, revision]), [["local.outline", 4], ["local.outline", 5]]);
  await made.compare(5);
  assert.equal(asked.length, 3);
});

test("an outline that was read before a question was asked here is read anew", async () => {
  const [asked, done] = [[], []];
  let thread = two;
  globalThis.fetch = async (url) => {
    asked.push(url);
    thread = play([{ type: "local.send", turn_id: "t9", text: "Why?" }], two).thread;
    return Response.json({ revision: 1, turns: [], whole: true });
  };
  const made = new Outline({ url: () => "/c/1/", revision: 0, thread: () => thread, dispatch: (event) => done.push(event) });
  await made.compare(1);
  assert.deepEqual([asked.length, done.length], [2, 1]);
});
