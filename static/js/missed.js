// @ts-check
// What the page lacks of what the server says where the conversation stands. Notices may get lost on their
// way; this comes in any case, and most often it tells nothing new. Pure.

import { isLive, liveGeneration, patchGeneration, resumeFrame } from "./thread.js";

/**
 * @param {import("./thread.js").Thread} thread
 * @param {{ head_turn_id: string | null, turn_id: string | null, generation_id: string | null, state: string | null }} head
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
  return { thread: next, effects };
}
