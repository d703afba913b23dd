// @ts-check
// Editing an earlier question in its place: Enter sends it as another wording, Escape leaves it as it is.

import { characters, sendable } from "./composer.js";
import { isComposed, isSending } from "./composing.js";
import { figure } from "./format.js";

/**
 * @param {HTMLElement} turn the turn's element
 * @param {{ text: string, limit: number, onSend: (text: string) => void, opener?: HTMLElement | null }} options `opener`: where
 *   who gives up goes back to
 */
export function editQuestion(turn, { text, limit, onSend, opener }) {
  if (turn.querySelector(".question-editor")) return;
  const question = /** @type {HTMLElement} */ (turn.querySelector(".question"));
  const tools = /** @type {HTMLElement} */ (turn.querySelector(".question-tools"));
  const form = document.createElement("form");
  form.className = "question-editor";
  const field = document.createElement("textarea");
  field.value = text;
  field.setAttribute("aria-label", "The question, edited");
  const note = document.createElement("span");
  note.className = "muted";
  const cancel = button("Cancel", "button small");
  const send = button("Send", "button small primary");
  send.type = "submit";
  form.append(field, note, cancel, send);
  question.hidden = true;
  tools.hidden = true;
  question.after(form);
  const refresh = () => {
    const over = characters(field.value) - limit;
    note.textContent = over > 0 ? `${figure(over)} characters too many` : "The old wording and its answers stay.";
    send.disabled = over > 0 || !field.value.trim();
    if (!CSS.supports("field-sizing", "content")) {
      field.style.height = "auto";
      field.style.height = `${field.scrollHeight}px`;
    }
  };
  const close = () => {
    form.remove();
    question.hidden = false;
    tools.hidden = false;
    (opener ?? /** @type {HTMLElement | null} */ (tools.querySelector("[data-action=edit]")))?.focus();
  };
  field.addEventListener("input", refresh);
  cancel.addEventListener("click", close);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (send.disabled) return;
    close();
    onSend(sendable(field.value));
  });
  form.addEventListener("keydown", (event) => {
    if (isComposed(event)) return;
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && event.target === field && isSending(event)) form.requestSubmit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  refresh();
  field.focus();
}

/** @param {string} label @param {string} className */
function button(label, className) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = className;
  made.textContent = label;
  return made;
}
