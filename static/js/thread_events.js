// @ts-check
// What the server says about a thread: each event gives the next thread and what the page has to carry out.

import { missed } from "./missed.js";
import {
  addGeneration, isLive, newGeneration, patchGeneration, patchTurn, problemOf, resumeFrame, shownText, without,
} from "./thread.js";
import { waitSaid, waitingOf } from "./wait_words.js";

/**
 * @typedef {import("./thread.js").Thread} Thread
 * @typedef {import("./thread.js").Step} Step
 * @typedef {import("./thread.js").Generation} Generation
 * @typedef {import("./thread.js").GenerationState} GenerationState
 */

// Changes of a conversation that its row in the rail shows.
const RAIL_CHANGES = new Set(["title", "pinned", "archived", "deleted", "busy"]);

/** @type {Record<string, (thread: Thread, event: any) => Step>} */
export const events = {
  "turn.accepted": (thread, { turn_id, generation_id }) => {
    const turn = thread.turns.find((one) => one.id === turn_id);
    const before = turn?.continuing && turn.generationId ? thread.generations[turn.generationId] : null;
    let next = patchTurn(thread, turn_id, { status: "accepted", refusal: null, continuing: false, replaced: undefined });
    const accepted = { do: /** @type {const} */ ("accepted"), turnId: turn_id };
    if (before && !before.text) return { thread: next, effects: [accepted, loadTurn(turn_id)] };
    const prefix = before ? shownText(before) : "";
    const known = next.generations[generation_id];
    next = known
      ? patchGeneration(next, generation_id, { attached: true })
      : addGeneration(next, newGeneration({ id: generation_id, turnId: turn_id, attached: true, prefix }), before?.id);
    return { thread: next, effects: [accepted] };
  },
  "turn.refused": (thread, event) => {
    const problem = problemOf(event);
    const turn = thread.turns.find((one) => one.id === event.turn_id);
    if (turn?.status === "retrying") {
      const kept = patchTurn(thread, turn.id, { status: "accepted", continuing: false });
      return { thread: kept, effects: [{ do: "problem", problem, turnId: turn.id }] };
    }
    if (turn?.replaced) {
      const restored = { ...thread, turns: [...thread.turns.slice(0, thread.turns.indexOf(turn)), ...turn.replaced] };
      return { thread: restored, effects: [{ do: "edit-refused", turnId: turn.id, text: turn.text, problem }] };
    }
    if (!turn || turn.status === "accepted") return { thread, effects: [{ do: "problem", problem, turnId: turn?.id }] };
    const next = patchTurn(thread, turn.id, { status: "refused", refusal: problem });
    return { thread: next, effects: [{ do: "refused", turnId: turn.id, text: turn.text, problem }] };
  },
  "generation.waiting": (thread, event) => {
    const known = thread.generations[event.generation_id];
    // It may come by another way than the start of the next attempt, and later.
    if (!known) return missing(thread, event);
    if (!isLive(known.state) || (event.epoch ?? known.epoch) < known.epoch) return { thread, effects: [] };
    const waiting = waitingOf(event);
    const values = { state: /** @type {const} */ ("waiting"), waiting, model: event.model ?? known.model, notes: event.notes ?? known.notes };
    const said = waiting.reason === known.waiting?.reason ? "" : waitSaid(waiting, Date.now());
    return {
      thread: patchGeneration(thread, known.id, values),
      effects: said ? [{ do: "say", text: said }] : [],
    };
  },
  "generation.started": (thread, event) => {
    const id = event.generation_id;
    if (!thread.turns.some((turn) => turn.id === event.turn_id)) return { thread, effects: [{ do: "catch-up" }] };
    let next = thread.generations[id] ? thread : addGeneration(thread, newGeneration({ id, turnId: event.turn_id }));
    const known = next.generations[id];
    if (event.continues && !known.prefix) {
      const before = thread.generations[event.continues];
      if (!before?.text) return { thread, effects: [loadTurn(event.turn_id)] };
      next = patchGeneration(next, id, { prefix: shownText(before) });
      const versions = next.turns.find((turn) => turn.id === event.turn_id)?.versions ?? [];
      next = patchTurn(next, event.turn_id, { versions: versions.filter((one) => one !== event.continues) });
    }
    // The number of deltas shrank though we had just asked for more: the server starts this answer over.
    const lost = event.epoch === known.epoch && (event.seq ?? 0) < known.seq && known.resumedAt === known.seq;
    const fresh = event.epoch !== known.epoch || lost ? { seq: 0, text: "", epoch: event.epoch } : {};
    const started = { model: event.model, notes: event.notes ?? [], waiting: null, state: stateOf({ ...known, ...fresh }), gapAt: -1, ...fresh };
    next = patchGeneration(next, id, started);
    const generation = next.generations[id];
    if (generation.attached && generation.seq === 0) return { thread: next, effects: [] };
    next = patchGeneration(next, id, { attached: true, asked: false, resumedAt: generation.seq });
    // What the new socket was asked for when it opened comes by itself.
    if (generation.asked) return { thread: next, effects: [] };
    return { thread: next, effects: [resumeFrame(generation)] };
  },
  delta: (thread, { generation_id, seq, text }) => {
    const generation = thread.generations[generation_id];
    if (!generation || !isLive(generation.state) || seq <= generation.seq) return { thread, effects: [] };
    if (seq > generation.seq + 1) {
      if (generation.gapAt === generation.seq) return { thread, effects: [] };
      return {
        thread: patchGeneration(thread, generation_id, { gapAt: generation.seq }),
        effects: [resumeFrame(generation)],
      };
    }
    return {
      thread: patchGeneration(thread, generation_id, {
        seq, text: generation.text + text, state: "streaming", waiting: null, gapAt: -1,
      }),
      effects: [],
    };
  },
  "generation.completed": (thread, event) => finish(thread, event, "completed"),
  "generation.stopped": (thread, event) => finish(thread, event, "stopped"),
  "generation.interrupted": (thread, event) => finish(thread, event, "interrupted"),
  "generation.failed": (thread, event) => finish(thread, event, "failed"),
  "budget.changed": (thread, event) => ({ thread, effects: [{ do: "budget", budget: event }] }),
  "conversation.updated": (thread, event) => {
    if (RAIL_CHANGES.has(event.change)) return { thread, effects: [{ do: "rail", event }] };
    if (event.change === "version") {
      const turn = thread.turns.find((one) => one.id === event.turn_id);
      const isNews = turn && turn.generationId !== event.generation_id;
      return { thread, effects: isNews ? [{ do: "load-turn", turnId: turn.id }] : [] };
    }
    if (event.change === "head") return missed(thread, event);
    if (event.change === "cleared") return { thread, effects: thread.turns.length > 0 ? [{ do: "reload" }] : [] };
    if (event.change === "removed") return { thread: without(thread, event.turn_ids), effects: [] };
    if (event.change === "branch") return { thread, effects: [{ do: "branch", headTurnId: event.head_turn_id }] };
    if (event.change !== "turn" || !event.turn_id) return { thread, effects: [] };
    const known = thread.turns.some((turn) => turn.id === event.turn_id);
    const at = thread.turns.findIndex((one) => one.id === event.edits);
    const edited = thread.turns[at];
    const turn = {
      id: event.turn_id, text: event.text, generationId: null, status: /** @type {const} */ ("accepted"), refusal: null,
      ...(edited ? { siblings: [...(edited.siblings ?? [edited.id]), event.turn_id] } : {}),
    };
    const kept = edited ? thread.turns.slice(0, at) : thread.turns;
    let next = known ? thread : { ...thread, turns: [...kept, turn] };
    if (event.generation_id && !next.generations[event.generation_id]) {
      next = addGeneration(next, newGeneration({ id: event.generation_id, turnId: event.turn_id }));
    }
    return { thread: next, effects: [] };
  },
  error: (thread, event) => ({ thread, effects: [{ do: "problem", problem: problemOf(event) }] }),
};

/** The words that an answer continues are on the page as HTML only, or not at all. @param {string} turnId */
const loadTurn = (turnId) => ({ do: /** @type {const} */ ("load-turn"), turnId, isNews: true });

/** Whoever is told how an answer goes, and does not have it, has missed its beginning. @param {Thread} thread @param {any} event @returns {Step} */
function missing(thread, { turn_id, generation_id }) {
  const turn = thread.turns.find((one) => one.id === turn_id);
  if (!turn) return { thread, effects: turn_id ? [{ do: "catch-up" }] : [] };
  const isNews = turn.status === "accepted" && !turn.versions?.includes(generation_id);
  return { thread, effects: isNews ? [loadTurn(turn_id)] : [] };
}

/** @param {Generation} generation @returns {GenerationState} */
const stateOf = (generation) => (generation.seq > 0 ? "streaming" : "running");

/** @param {Thread} thread @param {any} event @param {GenerationState} state @returns {Step} */
function finish(thread, event, state) {
  const known = thread.generations[event.generation_id];
  if (!known) return missing(thread, event);
  // Said again after a reconnect: the first time counts.
  if (!isLive(known.state)) return { thread, effects: [] };
  const values = {
    state, waiting: null, stopping: false, gapAt: -1,
    seq: event.seq ?? known.seq,
    text: event.text ?? known.text,
    html: event.html ?? "",
    receipt: event.receipt ?? null,
    error: event.error ? problemOf(event.error) : null,
    notes: event.notes ?? [],
    options: event.options ?? [],
  };
  return {
    thread: patchGeneration(thread, known.id, values),
    effects: [{ do: "finished", generationId: known.id }],
  };
}
