// @ts-check
// What stands above the composer when a message was not sent: why, and what helps, as buttons that work.

import { remaining } from "./format.js";
import { labelOf } from "./wait_view.js";

/**
 * @typedef {{ action: string, label: string, [field: string]: any }} Option
 * @typedef {(option: Option) => void} Choose
 */

export class Offer {
  /** @param {HTMLElement} root @param {{ now?: () => number }} [clock] */
  constructor(root, { now = Date.now } = {}) {
    this.root = root;
    this.now = now;
    this.text = /** @type {HTMLElement} */ (root.querySelector("[data-field=offer-text]"));
    this.reset = /** @type {HTMLElement} */ (root.querySelector("[data-field=offer-reset]"));
    this.buttons = /** @type {HTMLElement} */ (root.querySelector("[data-field=offer-options]"));
    /** @type {number | null} */
    this.opensAt = null;
    /** @type {() => void} */
    this.onOpen = () => {};
  }

  get isShown() {
    return !this.root.hidden;
  }

  /** @param {import("./thread.js").Problem} problem @param {Choose} choose @param {() => void} onOpen the budget has been reset */
  show(problem, choose, onOpen) {
    const options = problem.options ?? [];
    this.root.dataset.kind = problem.code;
    // The live timer says when; the server's sentence would say it a second time, and then wrongly.
    this.text.textContent = problem.resets_at ? problem.detail.replace(/ It resets in [^.]*\.$/, "") : problem.detail;
    this.opensAt = problem.resets_at ? Date.parse(problem.resets_at) : null;
    this.onOpen = onOpen;
    const shown = options.filter((option) => option.action !== "wait");
    this.buttons.replaceChildren(...shown.map((option, index) => {
      const button = document.createElement("button");
      button.type = "button";
      const isFirst = index === 0 && option.action !== "cancel";
      button.className = `button small${isFirst ? " primary" : ""}`;
      button.textContent = labelOf(option);
      button.addEventListener("click", () => choose(option));
      return button;
    }));
    this.root.hidden = false;
    this.tick();
  }

  hide() {
    this.root.hidden = true;
    this.opensAt = null;
  }

  /** Called twice a second: the timer. */
  tick() {
    if (this.root.hidden) return;
    this.reset.hidden = this.opensAt === null;
    if (this.opensAt === null) return;
    const seconds = (this.opensAt - this.now()) / 1000;
    if (seconds > 0) {
      const words = `Resets in ${seconds < 3600 ? withSeconds(seconds) : remaining(seconds)}`;
      if (this.reset.textContent !== words) this.reset.textContent = words;
      return;
    }
    this.opensAt = null;
    this.onOpen();
  }
}

/** @param {number} seconds below an hour */
function withSeconds(seconds) {
  const left = Math.ceil(seconds);
  return left < 60 ? `${left} s` : `${Math.floor(left / 60)} min ${left % 60} s`;
}
