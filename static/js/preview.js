// @ts-check
// Asks the server what the message in the composer would take, a moment after each change.

import { characters, firstOf } from "./composer.js";
import { keyWords } from "./composing.js";
import { longLine, previewLine } from "./preview_line.js";
import { request } from "./server.js";

const DELAY_MS = 250;

export class SendPreview {
  /**
   * @param {HTMLElement} line
   * @param {{ text: () => string, url: () => string, parameters: () => { model?: string, max_output_tokens?: number }, limit: () => number,
   *   onPreview: (preview: import("./preview_line.js").Preview | null) => void }} page null: nothing is known
   */
  constructor(line, page) {
    this.line = line;
    this.page = page;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {AbortController | null} */
    this.running = null;
    this.#showHint();
    addEventListener("settings", () => {
      if (!this.line.dataset.level) this.#showHint();
    });
  }

  /** Something changed that the line depends on. */
  changed() {
    clearTimeout(this.timer);
    this.running?.abort();
    if (!this.page.text().trim()) {
      this.#showHint();
      return;
    }
    this.timer = setTimeout(() => this.#ask(), DELAY_MS);
  }

  async #ask() {
    const url = this.page.url();
    // The conversation is being made: asked again when it is there.
    if (!url) return;
    this.running = new AbortController();
    const { model = "", max_output_tokens: longest } = this.page.parameters();
    const [text, limit] = [this.page.text(), this.page.limit()];
    const length = characters(text);
    // Of one that cannot be sent, the part that could tells how many tokens it has.
    const body = new URLSearchParams({ text: firstOf(text, limit), model, ...(longest ? { max_output_tokens: String(longest) } : {}) });
    try {
      const preview = await request("POST", `${url}preview/`, body, { signal: this.running.signal });
      if (length > limit) this.#show(longLine(preview, length / limit), "long");
      else this.#show(previewLine(preview), preview.refusal ? "refused" : preview.confirm ? "near" : "ok");
      this.page.onPreview(preview);
    } catch (error) {
      // Out of reach, the last figures would be stale; the send itself will say what is wrong.
      if (/** @type {Error} */ (error).name !== "AbortError") this.#showHint();
    }
  }

  #showHint() {
    this.page.onPreview(null);
    this.#show(keyWords().hint, "");
  }

  /** @param {string} text @param {string} level */
  #show(text, level) {
    this.line.textContent = text;
    this.line.dataset.level = level;
  }
}
