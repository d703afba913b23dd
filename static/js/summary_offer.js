// @ts-check
// The line above the composer that offers a summary when the context has grown, and says what came of it.

import { one } from "./elements.js";
import { isBeingMade, offerText, summaryText } from "./lens_words.js";

/** @typedef {import("./lens_words.js").Context} Context @typedef {import("./lens_words.js").Summary} Summary */

// After "Not now" it is offered again when the context is so many times as large.
const GROWTH = 1.5;

export class SummaryOffer {
  /** @param {{ id: () => string, onSummarise: () => void, onStop: () => void, onDrop: () => void }} callbacks */
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
    this.button.addEventListener("click", () => {
      if (this.root.dataset.running) callbacks.onStop();
      else if (this.news?.state === "completed") callbacks.onDrop();
      else callbacks.onSummarise();
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
    this.root.hidden = !told && !isOffered;
    this.root.dataset.kind = told?.state ?? "offer";
    if (told) this.text.textContent = summaryText(told);
    else if (saving) this.text.textContent = offerText(saving);
    const isRunning = isBeingMade(told);
    const hasFailed = told?.state === "failed" || told?.state === "stopped";
    this.root.dataset.running = isRunning ? "1" : "";
    this.button.hidden = hasFailed && !saving;
    this.button.textContent = isRunning ? "Stop" : told?.state === "completed" ? "Undo" : hasFailed ? "Try again" : "Summarise";
    this.not.hidden = isRunning;
    this.not.textContent = told ? "Close" : "Not now";
  }

  /** A question was sent: what was told has been read. */
  settle() {
    if (this.news && !isBeingMade(this.news)) this.#dismiss();
  }

  #dismiss() {
    if (this.news) this.read.add(this.news.id);
    else if (this.context?.saving) this.#remember(this.context.saving.before_tokens * GROWTH);
    this.root.hidden = true;
  }

  get #key() {
    return `summary:${this.callbacks.id()}`;
  }

  #quietUpTo() {
    try {
      return Number(localStorage.getItem(this.#key) ?? 0);
    } catch {
      return 0;
    }
  }

  /** @param {number} tokens */
  #remember(tokens) {
    try {
      localStorage.setItem(this.#key, String(Math.round(tokens)));
    } catch {
      // Without storage it is offered again on the next page.
    }
  }
}
