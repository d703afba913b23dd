// @ts-check
// One row of the rail, made from the page's template.

import { conversationPage } from "./server.js";

/** @param {HTMLTemplateElement} template @returns {HTMLElement} */
export const newRow = (template) =>
  /** @type {HTMLElement} */ (/** @type {DocumentFragment} */ (template.content.cloneNode(true)).firstElementChild);

/** @param {Element} row */
export const titleOf = (row) => row.querySelector("[data-field=row-title]")?.textContent ?? "";

/** @param {Element} row @param {string} id @param {string} title */
export function fill(row, id, title) {
  const words = title || "Untitled";
  const link = row.querySelector("a");
  if (link) link.href = conversationPage(id);
  const text = row.querySelector("[data-field=row-title]");
  if (text) text.textContent = words;
  row.querySelector(".rail-more")?.setAttribute("aria-label", `Options for ${words}`);
}

/** A text with what was searched for marked in it. @param {string} text @param {string} query @returns {(string | Element)[]} */
export function marked(text, query) {
  const at = query ? text.toLowerCase().indexOf(query.toLowerCase()) : -1;
  if (at < 0) return [text];
  const mark = document.createElement("mark");
  mark.textContent = text.slice(at, at + query.length);
  return [text.slice(0, at), mark, text.slice(at + query.length)];
}
