// @ts-check
// Reads the thread that the server rendered into the page, so that a reload continues exactly.

import { isLive, newGeneration } from "./thread.js";
import { waitingOf } from "./wait_words.js";

/** @param {string} [text] */
const wordsOf = (text) => (text ?? "").split(" ").filter(Boolean);

/** @param {HTMLElement} root @returns {import("./thread.js").Thread} */
export function adoptPage(root) {
  /** @type {import("./thread.js").Thread} */
  const thread = { turns: [], generations: {} };
  for (const element of root.querySelectorAll("[data-turn-id]")) {
    if (!(element instanceof HTMLElement)) continue;
    const turnId = element.dataset.turnId ?? "";
    const answer = /** @type {HTMLElement} */ (element.querySelector(".answer"));
    const id = answer.dataset.generationId ?? "";
    const question = element.querySelector("[data-field=question]")?.textContent ?? "";
    const [siblings, versions] = [wordsOf(element.dataset.siblings), wordsOf(answer.dataset.versions)];
    thread.turns.push({
      id: turnId, text: question, generationId: id || null, status: "accepted", refusal: null, siblings, versions,
    });
    if (!id) continue;
    const state = /** @type {import("./thread.js").GenerationState} */ (answer.dataset.state ?? "completed");
    const prose = /** @type {HTMLElement} */ (answer.querySelector(".prose"));
    const prefix = isLive(state) ? (prose.querySelector("[data-field=prefix]")?.textContent ?? "") : "";
    thread.generations[id] = newGeneration({
      id, turnId, state,
      epoch: Number(answer.dataset.epoch ?? 0),
      seq: Number(answer.dataset.seq ?? 0),
      model: answer.dataset.model ?? "",
      notes: JSON.parse(answer.dataset.notes || "[]"),
      options: JSON.parse(answer.dataset.options || "[]"),
      waiting: answer.dataset.waiting ? waitingOf(JSON.parse(answer.dataset.waiting)) : null,
      prefix,
      // A finished answer is on the page as HTML; its text is fetched when it is needed.
      text: isLive(state) ? (prose.textContent ?? "").slice(prefix.length) : "",
    });
  }
  return thread;
}
