import assert from "node:assert/strict";
import { test } from "node:test";

import { isBusy, liveGeneration } from "../../static/js/thread.js";
import { play } from "./play.js";

const told = (id, generation, versions = [generation], siblings = [id]) => ({
  id, text: `Question ${id}`, siblings, versions,
  generation: { id: generation, state: "completed", epoch: 1, seq: 1, model: "demo:x", html: "<p>x</p>", receipt: null, error: null },
});
const two = play([{ type: "local.older", turns: [told("t1", "g1"), told("t2", "g2")] }]).thread;
const ids = (thread) => thread.turns.map((turn) => turn.id);
const edit = { type: "local.edit", turn_id: "t1", new_turn_id: "t3", text: "Other" };

test("it adds a new version behind the others", () => {
  const { thread } = play([
    { type: "local.regenerate", turn_id: "t2", generation_id: "g3", model: "demo:y", temperature: 0 },
    { type: "turn.accepted", turn_id: "t2", generation_id: "g3" },
  ], two);
  assert.deepEqual(thread.turns[1].versions, ["g2", "g3"]);
  assert.equal(thread.turns[1].generationId, "g3");
});

test("it sends a temperature of nothing, and leaves out what is not set", () => {
  const { effects } = play([{ type: "local.regenerate", turn_id: "t2", generation_id: "g3", model: "", temperature: 0 }], two);
  assert.deepEqual(effects[0].frame, { type: "turn.regenerate", turn_id: "t2", generation_id: "g3", temperature: 0 });
});

test("it is busy while an answer in the middle is written", () => {
  const { thread } = play([
    { type: "local.regenerate", turn_id: "t1", generation_id: "g3" },
    { type: "turn.accepted", turn_id: "t1", generation_id: "g3" },
  ], two);
  assert.equal(liveGeneration(thread).id, "g3");
  assert.equal(isBusy(thread), true);
});

test("it puts a continued answer in the place of its beginning", () => {
  const cut = { ...two, generations: { ...two.generations, g2: { ...two.generations.g2, text: "Half" } } };
  const { thread } = play([
    { type: "local.continue", turn_id: "t2", generation_id: "g3" },
    { type: "turn.accepted", turn_id: "t2", generation_id: "g3" },
  ], cut);
  assert.deepEqual(thread.turns[1].versions, ["g3"]);
});

test("it shows another version as the server tells it", () => {
  const { thread } = play([{ type: "local.version", turn: told("t2", "g0", ["g0", "g2"]) }], two);
  assert.equal(thread.turns[1].generationId, "g0");
  assert.deepEqual(thread.turns[1].versions, ["g0", "g2"]);
});

test("it asks for a version that another tab has chosen, once", () => {
  const event = { type: "conversation.updated", change: "version", turn_id: "t2", generation_id: "g0" };
  assert.deepEqual(play([event], two).effects, [{ do: "load-turn", turnId: "t2" }]);
  assert.deepEqual(play([{ ...event, generation_id: "g2" }], two).effects, []);
});

test("it takes the branch of the old wording off the page", () => {
  const { thread } = play([edit], two);
  assert.deepEqual(ids(thread), ["t3"]);
  assert.deepEqual(thread.turns[0].siblings, ["t1", "t3"]);
});

test("it brings the old branch back when the new wording is refused", () => {
  const refused = { type: "turn.refused", turn_id: "t3", code: "budget_exceeded", detail: "No." };
  const { thread, effects } = play([edit, refused], two);
  assert.deepEqual(ids(thread), ["t1", "t2"]);
  assert.equal(effects[0].do, "edit-refused");
  assert.equal(effects[0].text, "Other");
});

test("it follows another tab to a new wording", () => {
  const event = { type: "conversation.updated", change: "turn", turn_id: "t3", text: "Other", generation_id: "g3", edits: "t1" };
  assert.deepEqual(ids(play([event], two).thread), ["t3"]);
  assert.deepEqual(ids(play([{ ...event, edits: null }], two).thread), ["t1", "t2", "t3"]);
});

test("it shows the branch of another wording from its place on", () => {
  const { thread } = play([{ type: "local.branch", at: "t2", turns: [told("t5", "g5"), told("t6", "g6")] }], two);
  assert.deepEqual(ids(thread), ["t1", "t5", "t6"]);
});

test("it puts older turns before the others, each once", () => {
  const { thread } = play([{ type: "local.older", turns: [told("t0", "g0"), told("t1", "g1")] }], two);
  assert.deepEqual(ids(thread), ["t0", "t1", "t2"]);
});
