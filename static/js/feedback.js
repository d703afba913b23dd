// @ts-check
// What the person thinks of an answer: one press says it, another takes it back; words, if one likes.

import { place } from "./place.js";
import { request } from "./server.js";

/** @typedef {"" | "up" | "down"} Verdict */

/** @param {Element} answer @param {Verdict | string} verdict */
export function showVerdict(answer, verdict) {
  answer.querySelector("[data-action=good]")?.setAttribute("aria-pressed", String(verdict === "up"));
  answer.querySelector("[data-action=bad]")?.setAttribute("aria-pressed", String(verdict === "down"));
}

export class Feedback {
  /** @param {HTMLFormElement} form for words @param {import("./line.js").Page} page */
  constructor(form, page) {
    this.form = form;
    this.page = page;
    this.words = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    /** The generation that the words are about. */
    this.about = "";
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.hidePopover();
      this.#tell(this.about, "down", this.words.value).then(() => page.say("Thank you. Your words are kept."), this.#fail);
    });
  }

  #fail = (/** @type {Error} */ error) => this.page.banner.show(error.message, "bad");

  /** @param {string} generationId @param {Verdict} verdict @param {string} [words] */
  #tell(generationId, verdict, words = "") {
    const url = `${this.page.conversation.url}answers/${generationId}/feedback/`;
    return request("POST", url, new URLSearchParams({ verdict, words }));
  }

  /** @param {string} generationId @param {"up" | "down"} verdict @param {HTMLElement} button that was pressed */
  async judge(generationId, verdict, button) {
    const answer = /** @type {Element} */ (button.closest(".answer"));
    const before = answer.querySelector("[data-action=good][aria-pressed=true]") ? "up"
      : answer.querySelector("[data-action=bad][aria-pressed=true]") ? "down" : "";
    const now = before === verdict ? "" : verdict;
    showVerdict(answer, now);
    try {
      await this.#tell(generationId, now);
    } catch (error) {
      showVerdict(answer, before);
      this.#fail(/** @type {Error} */ (error));
      return;
    }
    this.page.say(now ? `Marked as a ${now === "up" ? "good" : "bad"} answer` : "Mark taken back");
    if (now !== "down") return;
    this.about = generationId;
    this.words.value = "";
    this.form.showPopover();
    place(this.form, button);
    this.words.focus();
  }
}
