// @ts-check
// The line above the composer that warns when the model takes no more, offers a summary when the context has
// grown, and says what came of it.

import { one } from "./elements.js";
import { isBeingMade, offerText, summaryText, windowWarning } from "./lens_words.js";

/** @typedef {import("./lens_words.js").Context} Context @typedef {import("./lens_words.js").Summary} Summary */

// After "Not now" it is offered again when the context is so many times as large.
const GROWTH = 1.5;

export class SummaryOffer {
  /** @param {{ id: () => string, onSummarise: () => void, onStop: () => void, onDrop: () => void, onLook: () => void }} callbacks */
  constructor(callbacks) {
    this.callbacks = callbacks;
    this.root = one("[data-field=summary-offer]", HTMLElement);
    this.text = one("[data-field=summary-offer-text]", HTMLElement, this.root);
    this.button = one("[data-field=summary-offer-do]", HTMLButtonElement, this.root);
    this.not = one("[data-field=summary-offer-not]", HTMLButtonElement, this.root);
    /** @type {Context | null} */
    this.context = null;
    /** Ids of summaries whose end was read. @type {Set<string>} */
    this.read = new Set();
    /** @type {Summary | null} */
    this.news = null;
    /** That the model takes no more. @type {ReturnType<typeof windowWarning>} */
    this.warning = null;
    this.button.addEventListener("click", () => {
      if (this.root.dataset.running) callbacks.onStop();
      else if (this.news?.state === "completed") callbacks.onDrop();
      else if (this.#summarises) callbacks.onSummarise();
      else callbacks.onLook();
    });
    this.not.addEventListener("click", () => this.#dismiss());
  }

  /** @param {Context} context @param {Summary | null} news */
  show(context, news) {
    this.context = context;
    this.news = news && !this.read.has(news.id) ? news : null;
    const { saving, running } = context;
    const told = running ?? this.news;
    const isOffered = !told && saving?.offered === true && saving.before_tokens >= this.#quietUpTo();
    const found = told ? null : windowWarning(context);
    this.warning = found && !this.#knows(found.level) ? found : null;
    this.root.hidden = !told && !isOffered && !this.warning;
    this.root.dataset.kind = told?.state ?? (this.warning ? "window" : "offer");
    if (told) this.text.textContent = summaryText(told);
    else if (this.warning) this.text.textContent = this.warning.text;
    else if (saving) this.text.textContent = offerText(saving);
    const isRunning = isBeingMade(told);
    const hasFailed = told?.state === "failed" || told?.state === "stopped";
    this.root.dataset.running = isRunning ? "1" : "";
    this.button.hidden = hasFailed && !saving;
    this.button.textContent = isRunning ? "Stop" : told?.state === "completed" ? "Undo" : hasFailed ? "Try again"
      : this.#summarises ? "Summarise" : "Details";
    this.not.hidden = isRunning;
    this.not.textContent = told ? "Close" : "Not now";
  }

  /** A question was sent: what was told has been read. */
  settle() {
    if (this.news && !isBeingMade(this.news)) this.#dismiss();
  }

  /** Whether a summary helps. */
  get #summarises() {
    const { saving } = this.context ?? {};
    return !this.warning || Boolean(saving?.fits && saving.after_tokens < saving.before_tokens);
  }

  /** Whether it was told before that the window is as full. @param {"near" | "full"} level */
  #knows(level) {
    const known = this.#remembered("window");
    return known === "full" || known === level;
  }

  #dismiss() {
    if (this.news) this.read.add(this.news.id);
    else if (this.warning) this.#remember("window", this.warning.level);
    else if (this.context?.saving) this.#remember("summary", String(Math.round(this.context.saving.before_tokens * GROWTH)));
    this.root.hidden = true;
  }

  #quietUpTo() {
    return Number(this.#remembered("summary") ?? 0);
  }

  /** @param {"summary" | "window"} what */
  #remembered(what) {
    try {
      return localStorage.getItem(`${what}:${this.callbacks.id()}`);
    } catch {
      return null;
    }
  }

  /** @param {"summary" | "window"} what @param {string} value */
  #remember(what, value) {
    try {
      localStorage.setItem(`${what}:${this.callbacks.id()}`, value);
    } catch {
      // Without storage it is offered again on the next page.
    }
  }
}
