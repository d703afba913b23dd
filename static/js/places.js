// @ts-check
// Where the reader was, kept with each entry of the history: back, forward and a reload return there.

import { turnIn } from "./turn_link.js";

const PAUSE_MS = 250;
// A place among older questions, while the page that holds them is fetched.
const FETCHED = "place";

/** @typedef {{ turn: string, top: number }} Place the first question in view, and how far below the edge it begins */

/** The first of these that reaches below a line; they stand one below the other.
 * @template {{ getBoundingClientRect: () => { bottom: number } }} T @param {T[]} elements @param {number} line @returns {T | undefined} */
export function firstBelow(elements, line) {
  let [low, high] = [0, elements.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (elements[middle].getBoundingClientRect().bottom > line) high = middle;
    else low = middle + 1;
  }
  return elements[low];
}

export class Places {
  /**
   * @param {{ scroller: HTMLElement, thread: HTMLElement, scroll: import("./scroll.js").StickToBottom,
   *   turnElement: (turnId: string) => HTMLElement | null, url: () => string }} page
   */
  constructor(page) {
    this.page = page;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    page.scroller.addEventListener("scroll", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#keep(), PAUSE_MS);
    }, { passive: true });
    // Who goes on before the pause is over.
    document.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("a[href]")) this.#keep();
    }, { capture: true });
    addEventListener("popstate", () => {
      const place = history.state?.place;
      if (place === null) page.scroll.pin();
      else if (place) this.#show(place);
    });
  }

  /** Return to where this page was left. @returns {boolean} false: it is new, or what stood there is gone */
  restore() {
    const fetched = this.#takeFetched();
    /** @type {Place | null | undefined} */
    const place = fetched ?? history.state?.place;
    if (place === undefined) return false;
    if (place === null) this.page.scroll.pin();
    if (place === null || this.#show(place)) return true;
    // A link says itself what became of its question.
    if (fetched || turnIn(location.hash)) return false;
    sessionStorage.setItem(FETCHED, JSON.stringify(place));
    location.replace(`${this.page.url()}?turn=${place.turn}`);
    return true;
  }

  /** @param {Place} place */
  #show({ turn, top }) {
    const element = this.page.turnElement(turn);
    if (element) this.page.scroll.show(element, top);
    return element !== null;
  }

  /** @returns {Place | undefined} */
  #takeFetched() {
    try {
      const place = JSON.parse(sessionStorage.getItem(FETCHED) ?? "null");
      sessionStorage.removeItem(FETCHED);
      return new URLSearchParams(location.search).get("turn") === place?.turn ? (place ?? undefined) : undefined;
    } catch {
      return undefined;
    }
  }

  #keep() {
    const { scroller, thread, scroll } = this.page;
    const edge = scroller.getBoundingClientRect().top;
    const turns = /** @type {HTMLElement[]} */ ([...thread.querySelectorAll("[data-turn-id]:not([hidden])")]);
    const first = scroll.pinned ? undefined : firstBelow(turns, edge);
    const place = first ? { turn: first.dataset.turnId, top: Math.round(first.getBoundingClientRect().top - edge) } : null;
    if (JSON.stringify(place) === JSON.stringify(history.state?.place ?? null)) return;
    try {
      history.replaceState({ ...history.state, place }, "");
    } catch {
      // Some browsers allow only so many changes in half a minute.
    }
  }
}
