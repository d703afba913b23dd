// @ts-check
// What the person does to a thread: each action gives the next thread and what the page has to carry out.

import { compared } from "./missed.js";
import { adopted, isBusy, isLive, liveGeneration, patchGeneration, patchTurn, resumeFrame, without } from "./thread.js";

/**
 * @typedef {import("./thread.js").Thread} Thread
 * @typedef {import("./thread.js").Step} Step @typedef {import("./thread.js").TurnData} TurnData
 */

/** @type {Record<string, (thread: Thread, action: any) => Step>} */
export const actions = {
  "local.send": (thread, { turn_id, text }) => {
    const turn = { id: turn_id, text, generationId: null, status: /** @type {const} */ ("sending"), refusal: null };
    // A refused question has gone back into the composer: asking anew takes its place.
    const kept = thread.turns.filter((one) => one.status !== "refused");
    const known = kept.some((one) => one.id === turn_id);
    return { thread: known ? thread : { ...thread, turns: [...kept, turn] }, effects: [] };
  },
  // The new wording takes the place of the branch that began with the old one.
  "local.edit": (thread, { turn_id, new_turn_id, text }) => {
    const at = thread.turns.findIndex((turn) => turn.id === turn_id);
    if (at < 0 || isBusy(thread)) return { thread, effects: [] };
    const siblings = [...(thread.turns[at].siblings ?? [turn_id]), new_turn_id];
    const turn = {
      id: new_turn_id, text, generationId: null, status: /** @type {const} */ ("sending"), refusal: null,
      siblings, replaced: thread.turns.slice(at),
    };
    return { thread: { ...thread, turns: [...thread.turns.slice(0, at), turn] }, effects: [] };
  },
  // Another version of an answer, as the server has it; `isNews`: the page has missed that it was made.
  "local.version": (thread, { turn, isNews }) => {
    if (!thread.turns.some((one) => one.id === turn.id)) return { thread, effects: [] };
    const { generations, turns } = adopted([turn]);
    const { generationId, versions, siblings } = turns[0];
    const known = generationId ? thread.generations[generationId] : null;
    const patched = patchTurn(thread, turn.id, { generationId, versions, siblings });
    // What is being written here already is ahead of what was read, but for what it continues.
    if (known && isLive(known.state) && (known.prefix || !generations[known.id].prefix)) return { thread: patched, effects: [] };
    return known && !isLive(known.state) || !isNews
      ? { thread: { ...patched, generations: { ...thread.generations, ...generations } }, effects: [] }
      : learned(patched, generations);
  },
  // What was asked elsewhere, and the page has missed. A question that is on its way stays the last one.
  "local.newer": (thread, { turns, conversation }) => {
    const known = new Set(thread.turns.map((turn) => turn.id));
    const newer = adopted(turns.filter((/** @type {TurnData} */ turn) => !known.has(turn.id)));
    if (!newer.turns.length) return { thread, effects: inList(conversation) };
    const sending = thread.turns.findIndex((turn) => turn.status === "sending");
    const all = thread.turns.toSpliced(sending < 0 ? thread.turns.length : sending, 0, ...newer.turns);
    const step = learned({ ...thread, turns: all }, newer.generations);
    return { ...step, effects: [...inList(conversation), ...step.effects] };
  },
  // The branch of another wording, from the question `at` on.
  "local.branch": (thread, { at, turns }) => {
    const kept = thread.turns.slice(0, Math.max(0, thread.turns.findIndex((turn) => turn.id === at)));
    const branch = adopted(turns);
    const generations = { ...thread.generations, ...branch.generations };
    return { thread: { turns: [...kept, ...branch.turns], generations }, effects: [] };
  },
  "local.older": (thread, { turns }) => {
    const known = new Set(thread.turns.map((turn) => turn.id));
    const older = adopted(turns.filter((/** @type {TurnData} */ turn) => !known.has(turn.id)));
    const generations = { ...older.generations, ...thread.generations };
    return { thread: { turns: [...older.turns, ...thread.turns], generations }, effects: [] };
  },
  // The conversation as the server has it, where the page may have missed what is seldom changed.
  "local.outline": (thread, outline) => {
    const step = compared(thread, outline);
    return { ...step, effects: [...inList(outline.conversation), ...step.effects] };
  },
  // A question that was not sent yet. What its wording had replaced is shown again.
  "local.withdraw": (thread, { turn_id }) => {
    const at = thread.turns.findIndex((turn) => turn.id === turn_id);
    if (at < 0) return { thread, effects: [] };
    return { thread: { ...thread, turns: thread.turns.toSpliced(at, 1, ...(thread.turns[at].replaced ?? [])) }, effects: [] };
  },
  "local.remove": (thread, { turn_ids }) => ({ thread: without(thread, turn_ids), effects: [] }),
  // What was removed is wanted back.
  "local.restore": (thread, { turns, at }) => {
    const known = new Set(thread.turns.map((turn) => turn.id));
    const back = turns.filter((/** @type {import("./thread.js").Turn} */ turn) => !known.has(turn.id));
    return { thread: { ...thread, turns: thread.turns.toSpliced(at, 0, ...back) }, effects: [] };
  },
  "local.stop": (thread) => {
    const generation = liveGeneration(thread);
    if (!generation) return { thread, effects: [] };
    return {
      thread: patchGeneration(thread, generation.id, { stopping: true }),
      effects: [{ do: "send", frame: { type: "turn.stop", turn_id: generation.turnId } }],
    };
  },
  "local.retry": (thread, action) => newVersion(thread, "turn.retry", action),
  "local.continue": (thread, action) => newVersion(thread, "turn.continue", action),
  "local.regenerate": (thread, action) => newVersion(thread, "turn.regenerate", action),
  // The socket is new: nothing the old one had attached still holds. The answer may have ended meanwhile,
  // and then the server says nothing unasked.
  "local.connected": (thread) => {
    const generation = liveGeneration(thread);
    if (!generation) return { thread, effects: [] };
    const next = patchGeneration(thread, generation.id, { attached: true, asked: true, resumedAt: -1 });
    return { thread: next, effects: [resumeFrame(generation)] };
  },
};

/** @param {import("./thread.js").InList} [conversation] @returns {import("./thread.js").Effect[]} */
const inList = (conversation) => (conversation ? [{ do: "listed", conversation }] : []);

/**
 * Answers that the page has missed: one is being written perhaps, the others have been paid for.
 * @param {Thread} thread @param {Thread["generations"]} generations @returns {Step}
 */
function learned(thread, generations) {
  let next = { ...thread, generations: { ...thread.generations, ...generations } };
  /** @type {import("./thread.js").Effect[]} */
  const effects = [];
  const ended = [];
  for (const generation of Object.values(generations)) {
    if (!isLive(generation.state)) ended.push(generation.id);
    else {
      next = patchGeneration(next, generation.id, { attached: true });
      effects.push(resumeFrame(generation));
    }
  }
  if (ended.length) effects.push({ do: "learned", generationIds: ended });
  return { thread: next, effects };
}

/**
 * Nothing of the present version is touched before the server has accepted the new one.
 * @param {Thread} thread @param {string} type @param {any} action @returns {Step}
 */
function newVersion(thread, type, { turn_id, generation_id, model, temperature, max_output_tokens, confirm }) {
  if (isBusy(thread)) return { thread, effects: [] };
  /** @type {Record<string, any>} */
  const frame = { type, turn_id, generation_id };
  if (type === "turn.regenerate") Object.assign(frame, given({ model, temperature }));
  Object.assign(frame, given({ max_output_tokens }));
  if (confirm) frame.confirm = true;
  const asked = { status: /** @type {const} */ ("retrying"), continuing: type === "turn.continue" };
  return { thread: patchTurn(thread, turn_id, asked), effects: [{ do: "send", frame }] };
}

/** What is set of some parameters. @param {Record<string, any>} parameters */
const given = (parameters) =>
  Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== ""));
