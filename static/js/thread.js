// @ts-check
// The state of one conversation as the page knows it. `reduce` is pure: an event or a local action and a
// state give the next state and the effects that the page has to carry out. Objects that did not change
// keep their identity, so that the view compares by reference.

import { joinContinuation } from "./continuation.js";

/**
 * @typedef {object} Receipt
 * @property {number} input_tokens @property {number} cached_tokens @property {number} output_tokens
 * @property {number} thinking_tokens @property {number} total_tokens @property {string | null} cost_usd
 * @property {boolean} estimated @property {number | null} first_token_ms @property {number | null} duration_ms
 * @property {string} model @property {boolean} [charged] @property {Record<string, any> | null} [rates]
 * @property {number | string | null} [price_version]
 *
 * @typedef {object} Problem
 * @property {string} code @property {string} detail @property {any[]} [options] @property {string} [resets_at]
 *
 * @typedef {object} Waiting
 * @property {string} reason @property {number} waitSeconds @property {string | null} retryAt
 * @property {number} attempt @property {number} maxAttempts
 *
 * @typedef {"queued" | "running" | "streaming" | "waiting" | "completed" | "stopped" | "interrupted" | "failed"} GenerationState
 *
 * @typedef {object} Generation
 * @property {string} id @property {string} turnId @property {GenerationState} state @property {number} epoch
 * @property {number} seq @property {string} text @property {string} model @property {string} html
 * @property {Waiting | null} waiting @property {Problem | null} error @property {Receipt | null} receipt
 * @property {string} prefix what it continues, "" for a first answer
 * @property {boolean} stopping @property {boolean} attached @property {number} resumedAt @property {number} gapAt
 *
 * @typedef {object} Turn
 * @property {string} id @property {string} text @property {string | null} generationId
 * @property {"sending" | "accepted" | "retrying" | "refused"} status @property {Problem | null} refusal
 * @property {boolean} [continuing] the version that was asked for continues the present one
 * @property {string[]} [versions] ids of the answer's versions, oldest first
 * @property {string[]} [siblings] turn ids of all wordings of the question, oldest first
 * @property {Turn[]} [replaced] the branch that was on the page before this question was asked anew
 *
 * @typedef {{ id: string, text: string, siblings: string[], versions: string[], generation: any }} TurnData
 *
 * @typedef {object} Thread
 * @property {Turn[]} turns @property {Record<string, Generation>} generations
 *
 * @typedef {{ do: "send", frame: Record<string, any> } | { do: "accepted", turnId: string }
 *   | { do: "refused", turnId: string, text: string, problem: Problem }
 *   | { do: "finished", generationId: string } | { do: "budget", budget: any } | { do: "rail", event: any }
 *   | { do: "problem", problem: Problem, turnId?: string } | { do: "reload" }
 *   | { do: "edit-refused", turnId: string, text: string, problem: Problem }
 *   | { do: "load-turn", turnId: string } | { do: "branch", headTurnId: string }} Effect
 */

// Changes of a conversation that its row in the rail shows.
const RAIL_CHANGES = new Set(["title", "pinned", "archived", "deleted"]);
const LIVE = new Set(["queued", "running", "streaming", "waiting"]);

/** @param {string} state */
export const isLive = (state) => LIVE.has(state);

/** @returns {Thread} */
export const emptyThread = () => ({ turns: [], generations: {} });

/** The generation that is being written, if there is one. @param {Thread} thread @returns {Generation | null} */
export function liveGeneration(thread) {
  // As a rule it is the last one's.
  for (let at = thread.turns.length - 1; at >= 0; at -= 1) {
    const id = thread.turns[at].generationId;
    const generation = id ? thread.generations[id] : null;
    if (generation && isLive(generation.state)) return generation;
  }
  return null;
}

/** Whether the composer has to wait: a question is on its way or an answer is being written. @param {Thread} thread */
export const isBusy = (thread) =>
  thread.turns.some((turn) => turn.status === "sending" || turn.status === "retrying") || liveGeneration(thread) !== null;

/** @param {Partial<Generation> & { id: string, turnId: string }} values @returns {Generation} */
export const newGeneration = (values) => ({
  state: "queued", epoch: 0, seq: 0, text: "", model: "", html: "", waiting: null, error: null, receipt: null,
  prefix: "", stopping: false, attached: false, resumedAt: -1, gapAt: -1, ...values,
});

/** The whole text that the page shows for an answer. @param {Generation} generation */
export const shownText = (generation) =>
  joinContinuation(generation.prefix, generation.text, isLive(generation.state));

/** @param {Thread} thread @param {string} id @param {Partial<Generation>} values @returns {Thread} */
const patchGeneration = (thread, id, values) => ({
  ...thread,
  generations: { ...thread.generations, [id]: { ...thread.generations[id], ...values } },
});

/** @param {Thread} thread @param {string} id @param {Partial<Turn>} values @returns {Thread} */
const patchTurn = (thread, id, values) => ({
  ...thread,
  turns: thread.turns.map((turn) => (turn.id === id ? { ...turn, ...values } : turn)),
});

/** @param {any} generation */
const resumeFrame = (generation) => ({
  do: /** @type {const} */ ("send"),
  frame: { type: "stream.resume", generation_id: generation.id, after_seq: generation.seq },
});

/** @typedef {{ thread: Thread, effects: Effect[] }} Step */

/** @type {Record<string, (thread: Thread, event: any) => Step>} */
const handlers = {
  // --- What the person does -----------------------------------------------------
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
  // Another version of an answer, as the server has it.
  "local.version": (thread, { turn }) => {
    if (!thread.turns.some((one) => one.id === turn.id)) return { thread, effects: [] };
    const { generations, turns } = adopted([turn]);
    const { generationId, versions, siblings } = turns[0];
    const next = { ...thread, generations: { ...thread.generations, ...generations } };
    return { thread: patchTurn(next, turn.id, { generationId, versions, siblings }), effects: [] };
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
  // The socket is new: nothing the old one had attached still holds.
  "local.connected": (thread) => {
    const generation = liveGeneration(thread);
    if (!generation) return { thread, effects: [] };
    return { thread: patchGeneration(thread, generation.id, { attached: false, resumedAt: -1 }), effects: [] };
  },

  // --- What the server says -------------------------------------------------------
  "turn.accepted": (thread, { turn_id, generation_id }) => {
    const turn = thread.turns.find((one) => one.id === turn_id);
    const before = turn?.continuing && turn.generationId ? thread.generations[turn.generationId] : null;
    if (before && !before.text) return { thread, effects: [{ do: "reload" }] };
    const prefix = before ? shownText(before) : "";
    let next = patchTurn(thread, turn_id, { status: "accepted", refusal: null, continuing: false, replaced: undefined });
    const known = next.generations[generation_id];
    next = known
      ? patchGeneration(next, generation_id, { attached: true })
      : addGeneration(next, newGeneration({ id: generation_id, turnId: turn_id, attached: true, prefix }), before?.id);
    return { thread: next, effects: [{ do: "accepted", turnId: turn_id }] };
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
    if (!turn || turn.status === "accepted") return { thread, effects: [{ do: "problem", problem }] };
    const next = patchTurn(thread, turn.id, { status: "refused", refusal: problem });
    return { thread: next, effects: [{ do: "refused", turnId: turn.id, text: turn.text, problem }] };
  },
  "generation.waiting": (thread, event) => {
    if (!thread.generations[event.generation_id]) return { thread, effects: [] };
    const waiting = {
      reason: event.reason,
      waitSeconds: event.wait_seconds ?? 0,
      retryAt: event.retry_at ?? null,
      attempt: event.attempt ?? 1,
      maxAttempts: event.max_attempts ?? 1,
    };
    return { thread: patchGeneration(thread, event.generation_id, { state: "waiting", waiting }), effects: [] };
  },
  "generation.started": (thread, event) => {
    const id = event.generation_id;
    if (!thread.turns.some((turn) => turn.id === event.turn_id)) return { thread, effects: [{ do: "reload" }] };
    let next = thread.generations[id] ? thread : addGeneration(thread, newGeneration({ id, turnId: event.turn_id }));
    const known = next.generations[id];
    if (event.continues && !known.prefix) {
      const before = thread.generations[event.continues];
      if (!before?.text) return { thread, effects: [{ do: "reload" }] };
      next = patchGeneration(next, id, { prefix: shownText(before) });
      const versions = next.turns.find((turn) => turn.id === event.turn_id)?.versions ?? [];
      next = patchTurn(next, event.turn_id, { versions: versions.filter((one) => one !== event.continues) });
    }
    // The number of deltas shrank though we had just asked for more: the server starts this answer over.
    const lost = event.epoch === known.epoch && (event.seq ?? 0) < known.seq && known.resumedAt === known.seq;
    const fresh = event.epoch !== known.epoch || lost ? { seq: 0, text: "", epoch: event.epoch } : {};
    const started = { model: event.model, waiting: null, state: stateOf({ ...known, ...fresh }), gapAt: -1, ...fresh };
    next = patchGeneration(next, id, started);
    const generation = next.generations[id];
    if (generation.attached && generation.seq === 0) return { thread: next, effects: [] };
    next = patchGeneration(next, id, { attached: true, resumedAt: generation.seq });
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

/** Turns as the server tells them. @param {TurnData[]} data @returns {Thread} */
function adopted(data) {
  /** @type {Thread} */
  const thread = { turns: [], generations: {} };
  for (const { id, text, siblings, versions, generation } of data) {
    thread.turns.push({
      id, text, siblings, versions, generationId: generation?.id ?? null, status: "accepted", refusal: null,
    });
    if (generation) thread.generations[generation.id] = newGeneration({ ...generation, turnId: id });
  }
  return thread;
}

/** @param {Generation} generation @returns {GenerationState} */
const stateOf = (generation) => (generation.seq > 0 ? "streaming" : "running");

/** @param {any} event @returns {Problem} */
function problemOf(event) {
  const { code = "error", detail = "Something went wrong.", options = [], resets_at } = event;
  return { code, detail, options, resets_at };
}

/**
 * Show this generation as its turn's answer: its newest version, or in the place of what it continues.
 * @param {Thread} thread @param {Generation} generation @param {string} [continues] @returns {Thread}
 */
function addGeneration(thread, generation, continues) {
  const next = { ...thread, generations: { ...thread.generations, [generation.id]: generation } };
  const turn = thread.turns.find((one) => one.id === generation.turnId);
  const others = turn?.versions ?? (turn?.generationId ? [turn.generationId] : []);
  const versions = [...others.filter((id) => id !== continues && id !== generation.id), generation.id];
  return patchTurn(next, generation.turnId, { generationId: generation.id, versions });
}

/** @param {Thread} thread @param {any} event @param {GenerationState} state @returns {Step} */
function finish(thread, event, state) {
  const known = thread.generations[event.generation_id];
  if (!known) return { thread, effects: [] };
  // Said again after a reconnect: the first time counts.
  if (!isLive(known.state)) return { thread, effects: [] };
  const values = {
    state, waiting: null, stopping: false, gapAt: -1,
    seq: event.seq ?? known.seq,
    text: event.text ?? known.text,
    html: event.html ?? "",
    receipt: event.receipt ?? null,
    error: event.error ? problemOf(event.error) : null,
  };
  return {
    thread: patchGeneration(thread, known.id, values),
    effects: [{ do: "finished", generationId: known.id }],
  };
}

/**
 * @param {Thread} thread @param {{ type: string, [field: string]: any }} event
 * @returns {Step} events of unknown type change nothing: a newer server may know more
 */
export function reduce(thread, event) {
  const handler = Object.hasOwn(handlers, event.type) ? handlers[event.type] : null;
  return handler ? handler(thread, event) : { thread, effects: [] };
}
