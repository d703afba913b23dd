// @ts-check
// Renaming in place: a field takes the place of the title; Enter saves, Escape cancels.

import { isComposed } from "./composing.js";

const LIMIT_CHARACTERS = 200;

/**
 * @param {HTMLElement} element what shows the title; it keeps its place and gets the focus back
 * @param {{ title: string, onSave: (title: string) => void }} options
 */
export function renameInPlace(element, { title, onSave }) {
  const input = document.createElement("input");
  input.className = "rename";
  input.value = title;
  input.maxLength = LIMIT_CHARACTERS;
  input.setAttribute("aria-label", "Title");
  element.hidden = true;
  element.after(input);
  input.focus();
  input.select();
  let done = false;
  /** @param {boolean} save @param {boolean} refocus */
  const finish = (save, refocus) => {
    if (done) return;
    done = true;
    const wanted = input.value.trim();
    input.remove();
    element.hidden = false;
    if (refocus) element.focus();
    if (save && wanted && wanted !== title) onSave(wanted);
  };
  input.addEventListener("keydown", (event) => {
    if (isComposed(event)) return;
    if (event.key === "Enter") finish(true, true);
    else if (event.key === "Escape") finish(false, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  input.addEventListener("blur", () => finish(true, false));
}
