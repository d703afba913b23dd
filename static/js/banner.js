// @ts-check
// The line above the composer that says what happened, with at most one button that helps.

import { one } from "./elements.js";

/** @typedef {"bad" | "good" | "budget" | "connection"} Kind */

export class Banner {
  /** @param {HTMLElement} root @param {(text: string) => void} onBad what went wrong is also said aloud */
  constructor(root, onBad) {
    this.root = root;
    this.onBad = onBad;
    this.text = one("[data-field=banner-text]", HTMLElement, root);
    this.words = one("[data-field=banner-note]", HTMLElement, root);
    this.button = one("[data-field=banner-action]", HTMLButtonElement, root);
  }

  get kind() {
    return this.root.hidden ? "" : (this.root.dataset.kind ?? "");
  }

  /** @param {string} text @param {Kind} kind @param {string} [label] @param {() => void} [action] */
  show(text, kind, label, action) {
    delete this.root.dataset.level;
    this.root.dataset.kind = kind;
    this.root.classList.toggle("bad", kind === "bad");
    this.text.textContent = text;
    this.words.textContent = "";
    this.button.hidden = !label;
    this.button.textContent = label ?? "";
    this.button.onclick = action ?? null;
    this.root.hidden = false;
    if (kind === "bad") this.onBad(text);
  }

  /** A budget's level: 75, 90 or 100. @param {string} text @param {string} level @param {string} [label] @param {() => void} [action] */
  warn(text, level, label, action) {
    this.show(text, "budget", label, action);
    this.root.classList.toggle("bad", level === "100");
    this.root.dataset.level = level;
  }

  /** The same line in other words. @param {string} text */
  reword(text) {
    if (this.text.textContent !== text) this.text.textContent = text;
  }

  /** A few words that change with time. @param {string} words */
  note(words) {
    if (this.words.textContent !== words) this.words.textContent = words;
  }

  /** This is no longer so. @param {string} text */
  retract(text) {
    if (!this.root.hidden && this.text.textContent === text) this.hide();
  }

  hide() {
    this.root.hidden = true;
    delete this.root.dataset.level;
  }
}
