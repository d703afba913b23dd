// @ts-check
// The card at the bottom: text, its length, and one button that sends or stops.

import { isComposed, isSending, keyWords } from "./composing.js";
import { figure } from "./format.js";

const COUNT_FROM_SHARE = 0.8;
// Nobody decides anew within this time what a click is for.
const MEANT_TO_STOP_MS = 500;
// So soon after a question, a second press of the same button still means Send.
const DOUBLE_MS = 700;

/** Characters as the server counts them: code points. @param {string} text */
export const characters = (text) => {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
};

/** The beginning of a text, of so many characters. @param {string} text @param {number} count */
export const firstOf = (text, count) => (text.length <= count ? text : [...text.slice(0, 2 * count)].slice(0, count).join(""));

/** What can be sent and kept: neither halves of a character nor the sign that ends strings. @param {string} text */
export const sendable = (text) => (text.toWellFormed?.() ?? text).replaceAll("\0", "");

/** Whether a press is the second half of a double click or a double tap: the button that sent stops by then.
 * @param {{ detail: number, pointerType?: string }} press @param {number} sinceSentMs */
export const isSecondPress = ({ detail, pointerType }, sinceSentMs) =>
  sinceSentMs < DOUBLE_MS && (detail > 1 || pointerType === "touch");

/**
 * @typedef {object} Callbacks
 * @property {(text: string) => void} onSend @property {() => void} onStop @property {(text: string) => void} onInput
 * @property {() => boolean} onRecall edit the last question; whether there is one
 * @property {(text: string) => void} say a word for the status region
 */

export class Composer {
  // Until then a click was meant to stop the answer that has just ended, and must not send what is typed.
  #guardedUntil = 0;

  /** @param {HTMLFormElement} form @param {Callbacks} callbacks */
  constructor(form, callbacks) {
    this.form = form;
    this.callbacks = callbacks;
    this.field = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    this.button = /** @type {HTMLButtonElement} */ (form.querySelector(".send"));
    this.count = /** @type {HTMLElement} */ (document.querySelector("[data-field=count]"));
    this.limit = Number(form.dataset.limit);
    this.mode = "send";
    this.sentAtMs = -Infinity;
    /** By the last word of the server: only it knows, so that a press still asks, and hears what helps. */
    this.isRefused = false;
    this.button.addEventListener("click", (event) => {
      if (this.mode === "stop" && isSecondPress(/** @type {PointerEvent} */ (event), performance.now() - this.sentAtMs)) event.preventDefault();
    });
    // A key that is held down presses once.
    this.button.addEventListener("keydown", (event) => {
      if (event.repeat && event.key === "Enter") event.preventDefault();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.mode === "stop") this.callbacks.onStop();
      else if (performance.now() < this.#guardedUntil) this.callbacks.say("The answer has just ended. Your text is kept.");
      else this.#send();
    });
    this.field.addEventListener("input", () => {
      this.#guardedUntil = 0;
      this.refresh();
      this.callbacks.onInput(this.text);
    });
    this.field.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("settings", () => this.#nameButton());
    // From the first touch on the line below keeps its room: nothing gives way under a finger.
    form.addEventListener("focusin", () => this.#begin(), { once: true });
    if (document.activeElement === this.field) this.#begin();
    this.#nameButton();
    this.refresh();
  }

  get text() {
    return sendable(this.field.value);
  }

  set text(value) {
    this.field.value = value;
    this.refresh();
  }

  /** As if it had been typed, so that it can be undone. @param {string} text */
  write(text) {
    this.field.focus();
    this.field.select();
    if (!document.execCommand("insertText", false, text)) this.replace(text);
  }

  /** From elsewhere, while somebody may be at work here. @param {string} text */
  replace(text) {
    this.text = text;
    this.callbacks.onInput(text);
  }

  /** @param {"send" | "stop"} mode @param {{ ended?: boolean }} [why] `ended`: because an answer has ended */
  setMode(mode, { ended = false } = {}) {
    if (mode === this.mode) return;
    this.mode = mode;
    this.#guardedUntil = ended ? performance.now() + MEANT_TO_STOP_MS : 0;
    this.button.dataset.mode = mode;
    this.#nameButton();
    this.refresh();
  }

  /** @param {boolean} isRefused what stands here would not be let through */
  setRefused(isRefused) {
    if (isRefused === this.isRefused) return;
    this.isRefused = isRefused;
    this.#nameButton();
    this.refresh();
  }

  #nameButton() {
    const [name, key] = this.mode === "stop" ? ["Stop the answer", "Esc"] : ["Send", keyWords().sends];
    this.button.setAttribute("aria-label", name);
    const refused = this.mode === "send" && this.isRefused;
    // Without a key there is nothing to say but the name, which is said already.
    const words = {
      title: key && `${name.split(" ")[0]} (${key})`,
      "aria-description": refused ? "Over a budget. Press to see what helps." : key === "Esc" ? "Escape" : key,
    };
    for (const [attribute, value] of Object.entries(words)) {
      if (value) this.button.setAttribute(attribute, value);
      else this.button.removeAttribute(attribute);
    }
  }

  #begin() {
    this.form.dataset.begun = "true";
  }

  refresh() {
    if (!CSS.supports("field-sizing", "content")) {
      this.field.style.height = "auto";
      this.field.style.height = `${this.field.scrollHeight}px`;
    }
    const length = characters(this.text);
    const over = length > this.limit;
    this.count.hidden = length < this.limit * COUNT_FROM_SHARE;
    this.count.toggleAttribute("data-over", over);
    this.count.textContent = over
      ? `${figure(length)} of ${figure(this.limit)} characters: ${figure(length - this.limit)} too many`
      : `${figure(length)} of ${figure(this.limit)} characters`;
    this.field.setAttribute("aria-invalid", String(over));
    const unable = this.mode === "send" && (over || this.isRefused || !this.text.trim());
    this.button.setAttribute("aria-disabled", String(unable));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "ArrowUp" && !this.text && !event.shiftKey && !isComposed(event)) {
      if (this.callbacks.onRecall()) event.preventDefault();
      return;
    }
    if (event.key !== "Enter" || isComposed(event) || !isSending(event)) return;
    event.preventDefault();
    if (this.mode === "stop") this.callbacks.say("The answer is still being written. Your text is kept.");
    else this.#send();
  }

  #send() {
    const length = characters(this.text);
    if (!this.text.trim()) return;
    if (length > this.limit) {
      this.callbacks.say(`The message has ${figure(length)} characters; ${figure(this.limit)} is the limit.`);
      return;
    }
    this.sentAtMs = performance.now();
    this.callbacks.onSend(this.text);
  }
}
