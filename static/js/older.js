// @ts-check
// Older turns of a long conversation: loaded when the reader comes near them, or asks.

import { request } from "./server.js";
import { SLICE_MS, nextFrame } from "./slices.js";

const NEAR = "600px 0px 0px 0px";
const LEFT_THE_END_PX = 200;

export class Older {
  /**
   * @param {HTMLAnchorElement} link to the page before the first turn; works by itself without scripts
   * @param {{ scroller: HTMLElement, url: () => string, first: () => { id: string, element: Element } | null,
   *   show: (turns: any[], around: Element) => void, say: (text: string) => void }} page
   */
  constructor(link, page) {
    this.link = link;
    this.page = page;
    this.loading = false;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      this.load();
    });
    const observer = new IntersectionObserver((entries) => {
      if (entries.at(-1)?.isIntersecting) this.load();
    }, { root: page.scroller, rootMargin: NEAR });
    // The page begins at its end: only who has left it may come near the top.
    const begin = () => {
      const { scrollHeight, scrollTop, clientHeight } = page.scroller;
      if (scrollHeight - scrollTop - clientHeight < LEFT_THE_END_PX) return;
      page.scroller.removeEventListener("scroll", begin);
      observer.observe(link);
    };
    page.scroller.addEventListener("scroll", begin, { passive: true });
  }

  /** A few between two frames, the latest first: all at once would hold up the scrolling. @param {any[]} turns @param {Element} around */
  async #show(turns, around) {
    for (let end = turns.length; end > 0; ) {
      const started = performance.now();
      do {
        end -= 1;
        this.page.show([turns[end]], around);
      } while (end > 0 && performance.now() - started < SLICE_MS);
      await nextFrame();
    }
  }

  async load() {
    const first = this.page.first();
    if (this.loading || this.link.hidden || !first) return;
    this.loading = true;
    this.link.setAttribute("aria-busy", "true");
    const focused = document.activeElement === this.link;
    try {
      const { turns, more } = await request("GET", `${this.page.url()}turns/?before=${first.id}`);
      await this.#show(turns, first.element);
      this.link.hidden = !more;
      if (more) this.link.href = `?before=${turns[0].id}`;
      if (focused && !more) /** @type {HTMLElement | null} */ (first.element.querySelector("button, summary"))?.focus();
      this.page.say(`${turns.length} older ${turns.length === 1 ? "question" : "questions"} loaded`);
    } catch (error) {
      this.page.say(/** @type {Error} */ (error).message);
    } finally {
      this.loading = false;
      this.link.removeAttribute("aria-busy");
    }
  }
}
