// @ts-check
// One row of the rail, made from the page's template.

import { placesOf } from "./search_words.js";
import { conversationPage } from "./server.js";

/** @param {HTMLTemplateElement} template @returns {HTMLElement} */
export const newRow = (template) =>
  /** @type {HTMLElement} */ (/** @type {DocumentFragment} */ (template.content.cloneNode(true)).firstElementChild);

/** @param {Element} row */
export const titleOf = (row) => row.querySelector("[data-field=row-title]")?.textContent ?? "";

/** What a search has found leads to its place. @param {Element} row @param {string} id @param {string} title */
export function fill(row, id, title) {
  const words = title || "Untitled";
  const link = row.querySelector("a");
  if (link) link.href = row instanceof HTMLElement && row.dataset.place ? row.dataset.place : conversationPage(id);
  const text = row.querySelector("[data-field=row-title]");
  if (text) text.textContent = words;
  row.querySelector(".rail-more")?.setAttribute("aria-label", `Options for ${words}`);
}

/** A text with what was searched for marked in it. @param {string} text @param {string} query @returns {(string | Element)[]} */
export function marked(text, query) {
  /** @type {(string | Element)[]} */
  const parts = [];
  let end = 0;
  for (const [start, length] of placesOf(text, query)) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(start, start + length);
    parts.push(text.slice(end, start), mark);
    end = start + length;
  }
  return [...parts, text.slice(end)];
}
