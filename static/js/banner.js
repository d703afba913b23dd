// @ts-check
// The line above the composer that says what happened, with at most one button that helps.

import { one } from "./elements.js";

/** @typedef {"bad" | "good" | "budget" | "connection"} Kind */

export class Banner {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.text = one("[data-field=banner-text]", HTMLElement, root);
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
    this.button.hidden = !label;
    this.button.textContent = label ?? "";
    this.button.onclick = action ?? null;
    this.root.hidden = false;
  }

  /** A budget's level: 75, 90 or 100. @param {string} text @param {string} level */
  warn(text, level) {
    this.show(text, level === "100" ? "bad" : "budget");
    this.root.dataset.level = level;
  }

  hide() {
    this.root.hidden = true;
    delete this.root.dataset.level;
  }
}
