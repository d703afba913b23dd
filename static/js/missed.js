// @ts-check
// What the page lacks of what the server says where the conversation stands. Notices may get lost on their
// way; this comes in any case, and most often it tells nothing new. Pure.

import { isLive, liveGeneration, patchGeneration, resumeFrame, without } from "./thread.js";

/** @typedef {import("./thread.js").Thread} Thread */

/**
 * @param {Thread} thread
 * @param {{ head_turn_id: string | null, turn_id: string | null, generation_id: string | null, state: string | null, revision?: number }} head
 *   the last question of the branch, and the answer that was begun last
 * @returns {import("./thread.js").Step}
 */
export function missed(thread, head) {
  /** @type {import("./thread.js").Effect[]} */
  const effects = [];
  let next = thread;
  // There is never more than one: where it is another, or over, the page has missed an end.
  const live = liveGeneration(thread);
  if (live && !(live.attached && live.id === head.generation_id && isLive(head.state ?? ""))) {
    next = patchGeneration(next, live.id, { attached: true, resumedAt: -1 });
    effects.push(resumeFrame(live));
  }
  const stored = thread.turns.filter(({ status }) => status === "accepted" || status === "retrying");
  if ((head.head_turn_id ?? undefined) !== stored.at(-1)?.id) effects.push({ do: "catch-up" });
  const turn = stored.find((one) => one.id === head.turn_id);
  const versions = [...(turn?.versions ?? []), turn?.generationId];
  if (turn?.status === "accepted" && !versions.includes(head.generation_id ?? "")) {
    effects.push({ do: "load-turn", turnId: turn.id, isNews: true });
  }
  // What else may differ is asked for as a whole: it changes seldom.
  if (head.revision !== undefined) effects.push({ do: "compare", revision: head.revision });
  return { thread: next, effects };
}

/**
 * What of the page is no longer so: questions that are gone, answers of which another version is shown,
 * questions that have more wordings or fewer.
 * @param {Thread} thread
 * @param {{ turns: { id: string, generation_id: string | null, wordings: number }[], whole: boolean }} outline
 *   the last questions of the branch, `whole`: all of them
 * @returns {import("./thread.js").Step}
 */
export function compared(thread, { turns, whole }) {
  const told = new Map(turns.map((turn) => [turn.id, turn]));
  const from = whole ? 0 : thread.turns.findIndex(({ id }) => told.has(id));
  const live = liveGeneration(thread)?.turnId;
  const settled = thread.turns.filter(({ id, status }, at) => from >= 0 && at >= from && status === "accepted" && id !== live);
  const gone = settled.filter(({ id }) => !told.has(id)).map(({ id }) => id);
  /** @type {import("./thread.js").Effect[]} */
  const effects = [];
  for (const { id, generationId, versions, siblings } of settled) {
    const { generation_id: shown, wordings } = told.get(id) ?? {};
    if (!shown || (shown === generationId && wordings === (siblings?.length || 1))) continue;
    effects.push({ do: "load-turn", turnId: id, isNews: shown !== generationId && !versions?.includes(shown) });
  }
  return { thread: without(thread, gone), effects };
}
