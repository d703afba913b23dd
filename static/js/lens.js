// @ts-check
// The context lens: knows what the next question is sent with, lets it be changed, and summarises.

import { LensPanel } from "./lens_panel.js";
import { isBeingMade, summaryText } from "./lens_words.js";
import { newId } from "./new_id.js";
import { conversationUrl, request } from "./server.js";
import { SummaryOffer } from "./summary_offer.js";

/** @typedef {import("./lens_words.js").Context} Context @typedef {import("./lens_words.js").Summary} Summary */

const DELAY_MS = 300;
// Where no socket brings the end of a summary, it is asked for.
const POLL_MS = 1500;
const SECOND_MS = 1000;
const CHANGES = new Set(["context", "summary", "version", "branch", "cleared", "removed"]);

/**
 * @typedef {object} Page
 * @property {() => string} id of the conversation, "" while there is none
 * @property {() => string} text in the composer @property {() => Record<string, any>} parameters
 * @property {(text: string) => void} say @property {(text: string) => void} fail
 * @property {() => void} onChanged what a send takes is another now
 * @property {(receipt: any) => void} onReceipt of a summary @property {(turnId: string) => void} show a turn in the thread
 */

export class Lens {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    /** @type {Context | null} */
    this.context = null;
    /** The last that was heard of a summary. @type {Summary | null} */
    this.news = null;
    /** @type {AbortController | null} */
    this.running = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** Counts down while a summary waits. @type {ReturnType<typeof setInterval> | undefined} */
    this.clock = undefined;
    /** Who waits for the end of a summary, by its id. @type {Map<string, (summary: Summary | null) => void>} */
    this.waiting = new Map();
    this.ended = new Set();
    this.panel = new LensPanel({
      onOpen: () => this.refresh(),
      onChange: (change) => this.#change(change),
      onShow: (message) => page.show(message.turn_id),
      onSummarise: () => this.summarise(),
      onStop: () => this.#stop(),
      onDrop: () => this.#drop(),
    });
    this.offer = new SummaryOffer({
      id: page.id,
      onSummarise: () => this.summarise(),
      onStop: () => this.#stop(),
      onDrop: () => this.#drop(),
      onLook: () => this.panel.open(),
    });
  }

  get #url() {
    return `${conversationUrl(this.page.id())}context/?${new URLSearchParams({
      text: this.page.text(), model: this.page.parameters().model ?? "",
    })}`;
  }

  /** What is typed, or which model is chosen, has changed: of interest while somebody looks. */
  changed() {
    if (!this.panel.isOpen) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), DELAY_MS);
  }

  /** What the composer's text would take: another part of the conversation than was known may be left out.
   * @param {import("./preview_line.js").Preview} preview */
  compare(preview) {
    if (this.context && preview.dropped_turns !== this.context.next.dropped_turns) this.refresh();
  }

  /** An event of the socket. @param {any} event */
  hear(event) {
    if (event.type === "conversation.updated" && CHANGES.has(event.change)) {
      if (event.change === "summary") this.#heard(event.summary);
      this.refresh();
    } else if (/^generation\.(completed|stopped|interrupted|failed)$/.test(event.type)) this.refresh();
  }

  async refresh() {
    if (!this.page.id()) return;
    this.running?.abort();
    const running = (this.running = new AbortController());
    try {
      this.#show(await request("GET", this.#url, undefined, { signal: running.signal }));
    } catch {
      // Out of reach, too long or signed out: the send itself says what is wrong.
    }
  }

  /** @param {Context} context */
  #show(context) {
    this.context = context;
    this.panel.show(context, this.news);
    this.offer.show(context, this.news);
    clearInterval(this.clock);
    if (!context.running?.waiting) return;
    this.clock = setInterval(() => {
      this.panel.showSummary(context, this.news);
      this.offer.show(context, this.news);
    }, SECOND_MS);
  }

  /** @param {Record<string, any>} change */
  async #change(change) {
    this.running?.abort();
    try {
      this.#show(await request("PATCH", this.#url, change));
      this.page.onChanged();
    } catch (error) {
      this.page.fail(/** @type {Error} */ (error).message);
      this.refresh();
    }
  }

  // --- Summaries -------------------------------------------------------------------

  /** Summarise the older messages. @param {string} [model] @returns {Promise<boolean>} whether there is a summary now */
  async summarise(model) {
    const order = { summary_id: newId(), model: model ?? this.page.parameters().model ?? "" };
    this.news = null;
    try {
      this.#heard(await request("POST", `${conversationUrl(this.page.id())}summary/`, order));
    } catch (error) {
      this.page.fail(/** @type {Error} */ (error).message);
      return false;
    }
    this.page.say("Summarising older messages");
    const ended = await this.#end(order.summary_id);
    return ended?.state === "completed";
  }

  /** @param {string} id @returns {Promise<Summary | null>} */
  async #end(id) {
    if (this.ended.has(id)) return this.news;
    const heard = new Promise((/** @type {(summary: Summary | null) => void} */ resolve) => this.waiting.set(id, resolve));
    while (!this.ended.has(id)) {
      await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, POLL_MS))]);
      if (this.ended.has(id)) break;
      await this.refresh();
      const { context } = this;
      if (context && !context.running) this.#heard(context.summary?.id === id ? context.summary : failedOf(id));
    }
    return this.news?.id === id ? this.news : null;
  }

  /** @param {Summary} summary */
  #heard(summary) {
    if (this.ended.has(summary.id)) return;
    this.news = summary;
    if (isBeingMade(summary)) {
      if (summary.waiting) this.page.say(summaryText(summary));
      if (this.context) this.#show({ ...this.context, running: summary });
      return;
    }
    this.ended.add(summary.id);
    if (summary.receipt) this.page.onReceipt(summary.receipt);
    this.page.say(summaryText(summary));
    this.page.onChanged();
    this.waiting.get(summary.id)?.(summary);
    this.waiting.delete(summary.id);
    this.refresh();
  }

  async #stop() {
    try {
      this.#heard(await request("POST", `${conversationUrl(this.page.id())}summary/stop/`));
    } catch (error) {
      this.page.fail(/** @type {Error} */ (error).message);
    }
  }

  async #drop() {
    try {
      await request("DELETE", `${conversationUrl(this.page.id())}summary/`);
    } catch (error) {
      this.page.fail(/** @type {Error} */ (error).message);
    }
    this.news = null;
    this.page.say("The messages are sent in full again");
    this.page.onChanged();
    await this.refresh();
  }
}

/** One of which only is known that it is no more. @param {string} id @returns {Summary} */
const failedOf = (id) => ({
  id, state: "failed", turns: 0, before_tokens: 0, after_tokens: 0, text: "", error: null, receipt: null,
});
