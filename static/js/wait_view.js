// @ts-check
// What stands around an answer beside its words: the box of a wait with what can be done meanwhile, the
// notes on how it came about, and the button that continues it.

import { field, icon } from "./elements.js";
import { atMost } from "./format.js";
import { isLive } from "./thread.js";
import { isBrief, sinceWords, waitDetail, waitLabel, waitTitle } from "./wait_words.js";

/** @typedef {import("./thread.js").Generation} Generation */

/** @param {{ label: string, cost_usd?: string | null }} option */
export const labelOf = (option) => (option.cost_usd ? `${option.label} (at most ${atMost(option.cost_usd)})` : option.label);

/** @param {HTMLElement} element of the turn @param {Generation} generation */
export function showWait(element, generation) {
  const box = field(element, "waitbox");
  const { waiting } = generation;
  box.hidden = generation.state !== "waiting" || waiting === null || isBrief(waiting);
  if (box.hidden || !waiting) return;
  const now = Date.now();
  box.dataset.reason = waiting.reason;
  setClauses(field(element, "wait"), waitTitle(waiting, now));
  setText(field(element, "wait-detail"), waitDetail(waiting, now));
  const actions = field(element, "wait-actions");
  const labels = waiting.options.map((option) => labelOf({ ...option, label: waitLabel(option, now) }));
  // The buttons stay as they are while the clock runs: one that has the focus keeps it.
  const key = JSON.stringify([generation.id, generation.stopping, labels]);
  if (actions.dataset.key === key) return;
  actions.dataset.key = key;
  actions.replaceChildren(...waiting.options.map((option, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `button small${at === 0 && option.action !== "stop" ? " primary" : ""}`;
    button.dataset.action = option.action;
    if (option.model) button.dataset.model = option.model;
    button.textContent = labels[at];
    if (generation.stopping) button.setAttribute("aria-disabled", "true");
    return button;
  }));
}

/** @param {HTMLElement} element @param {Generation} generation */
export function showNotes(element, generation) {
  const notes = field(element, "notes");
  const key = JSON.stringify([generation.id, generation.notes]);
  if (notes.dataset.key === key) return;
  notes.dataset.key = key;
  notes.hidden = !generation.notes.length;
  notes.replaceChildren(...generation.notes.map((note) => {
    const line = document.createElement("p");
    line.dataset.code = note.code;
    const words = document.createElement("span");
    words.textContent = note.since ? `${note.detail} ${sinceWords(note.since, Date.now())}` : note.detail;
    line.append(icon(note.code === "cached" ? "clock" : "again"), words);
    return line;
  }));
}

/** Continue, where an answer ended before its end. @param {HTMLElement} element @param {Generation} generation */
export function showContinue(element, generation) {
  const button = field(element, "continue");
  const option = generation.options.find((one) => one.action === "continue");
  button.hidden = isLive(generation.state) || !option;
  if (option) setText(field(element, "continue-label"), labelOf(option));
}

/** What counts down may stand on a line of its own. @param {HTMLElement} element @param {string} text */
function setClauses(element, text) {
  if (element.textContent === text) return;
  const at = text.lastIndexOf(", ") + 2;
  if (at < 2) {
    element.textContent = text;
    return;
  }
  const clause = document.createElement("span");
  clause.className = "clause";
  clause.textContent = text.slice(at);
  element.replaceChildren(text.slice(0, at), clause);
}

/** @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
