// @ts-check
// The state of one conversation as the page knows it: what it is made of, and what reads and changes it.
// Objects that did not change keep their identity, so that the view compares by reference.
// What the person does is in thread_actions.js, what the server says in thread_events.js.

import { joinContinuation } from "./continuation.js";

/**
 * @typedef {object} Receipt
 * @property {number} input_tokens @property {number} cached_tokens @property {number} output_tokens
 * @property {number} thinking_tokens @property {number} total_tokens @property {string | null} cost_usd
 * @property {boolean} estimated @property {number | null} first_token_ms @property {number | null} duration_ms
 * @property {string} model @property {boolean} [charged] @property {Record<string, any> | null} [rates]
 * @property {number | string | null} [price_version] @property {Record<string, number> | null} [breakdown]
 * @property {number | null} [expected_rest_tokens] @property {string} [model_label] @property {number | null} [temperature]
 * @property {number} [attempts] @property {string | null} [entry_id]
 *
 * @typedef {object} Problem
 * @property {string} code @property {string} detail @property {any[]} [options] @property {string} [resets_at]
 *
 * @typedef {{ action: string, label: string, model?: string, cost_usd?: string, run_at?: string }} Option
 *
 * @typedef {object} Waiting
 * @property {string} reason @property {string} detail @property {number} waitSeconds
 * @property {string | null} retryAt @property {string | null} givesUpAt @property {number | null} place
 * @property {number} attempt @property {number} maxAttempts @property {Option[]} options
 *
 * @typedef {{ code: string, detail: string, since?: string }} Note how the answer came about
 *
 * @typedef {"queued" | "running" | "streaming" | "waiting" | "completed" | "stopped" | "interrupted" | "failed"} GenerationState
 *
 * @typedef {object} Generation
 * @property {string} id @property {string} turnId @property {GenerationState} state @property {number} epoch
 * @property {number} seq @property {string} text @property {string} model @property {string} html
 * @property {Waiting | null} waiting @property {Problem | null} error @property {Receipt | null} receipt
 * @property {Note[]} notes @property {string} verdict of the person, as the server told it: up, down
 * @property {Option[]} options what can be done with one that has ended
 * @property {string} prefix what it continues, "" for a first answer
 * @property {boolean} stopping @property {boolean} attached @property {boolean} asked @property {number} resumedAt @property {number} gapAt
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
 * @typedef {{ title: string, pinned?: boolean, listed: boolean }} InList how it stands in the list of conversations
 *
 * @typedef {object} Thread
 * @property {Turn[]} turns @property {Record<string, Generation>} generations
 *
 * @typedef {{ do: "send", frame: Record<string, any> } | { do: "accepted", turnId: string }
 *   | { do: "refused", turnId: string, text: string, problem: Problem }
 *   | { do: "finished", generationId: string } | { do: "budget", budget: any } | { do: "rail", event: any }
 *   | { do: "problem", problem: Problem, turnId?: string } | { do: "reload" }
 *   | { do: "edit-refused", turnId: string, text: string, problem: Problem }
 *   | { do: "say", text: string } | { do: "load-turn", turnId: string, isNews?: boolean }
 *   | { do: "catch-up" } | { do: "compare", revision: number } | { do: "listed", conversation: InList } | { do: "learned", generationIds: string[] } | { do: "branch", headTurnId: string }} Effect
 *
 * @typedef {{ thread: Thread, effects: Effect[] }} Step
 */

const LIVE = new Set(["queued", "running", "streaming", "waiting"]);

/** @param {string} state */
export const isLive = (state) => LIVE.has(state);

/** Whether the model came to its limit: it has said so with success. @param {Pick<Generation, "state" | "options">} generation */
export const isCut = ({ state, options }) => state === "completed" && options.some(({ action }) => action === "continue");

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
  prefix: "", verdict: "", notes: [], options: [], stopping: false, attached: false, asked: false, resumedAt: -1, gapAt: -1, ...values,
});

/** The whole text that the page shows for an answer. @param {Generation} generation */
export const shownText = (generation) =>
  joinContinuation(generation.prefix, generation.text, isLive(generation.state));

/** @param {Thread} thread @param {string} id @param {Partial<Generation>} values @returns {Thread} */
export const patchGeneration = (thread, id, values) => ({
  ...thread,
  generations: { ...thread.generations, [id]: { ...thread.generations[id], ...values } },
});

/** @param {Thread} thread @param {string} id @param {Partial<Turn>} values @returns {Thread} */
export const patchTurn = (thread, id, values) => ({
  ...thread,
  turns: thread.turns.map((turn) => (turn.id === id ? { ...turn, ...values } : turn)),
});

/** @param {Thread} thread @param {string[]} turnIds @returns {Thread} the same one if it holds none of them */
export function without(thread, turnIds) {
  const turns = thread.turns.filter((turn) => !turnIds.includes(turn.id));
  return turns.length === thread.turns.length ? thread : { ...thread, turns };
}

/** @param {any} generation */
export const resumeFrame = (generation) => ({
  do: /** @type {const} */ ("send"),
  frame: {
    type: "stream.resume", generation_id: generation.id, after_seq: generation.seq, epoch: generation.epoch,
  },
});

/** Turns as the server tells them. The words of a live answer come from its stream, from the first one on. @param {TurnData[]} data @returns {Thread} */
export function adopted(data) {
  /** @type {Thread} */
  const thread = { turns: [], generations: {} };
  for (const { id, text, siblings, versions, generation } of data) {
    thread.turns.push({
      id, text, siblings, versions, generationId: generation?.id ?? null, status: "accepted", refusal: null,
    });
    if (!generation) continue;
    const unread = isLive(generation.state) ? { epoch: 0, seq: 0 } : {};
    thread.generations[generation.id] = newGeneration({ ...generation, ...unread, turnId: id });
  }
  return thread;
}

/** @param {any} event @returns {Problem} */
export function problemOf(event) {
  const { code = "error", detail = "Something went wrong.", options = [], resets_at } = event;
  return { code, detail, options, resets_at };
}

/**
 * Show this generation as its turn's answer: its newest version, or in the place of what it continues.
 * @param {Thread} thread @param {Generation} generation @param {string} [continues] @returns {Thread}
 */
export function addGeneration(thread, generation, continues) {
  const next = { ...thread, generations: { ...thread.generations, [generation.id]: generation } };
  const turn = thread.turns.find((one) => one.id === generation.turnId);
  const others = turn?.versions ?? (turn?.generationId ? [turn.generationId] : []);
  const versions = [...others.filter((id) => id !== continues && id !== generation.id), generation.id];
  return patchTurn(next, generation.turnId, { generationId: generation.id, versions });
}
