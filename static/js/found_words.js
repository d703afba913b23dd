// @ts-check
// Who comes from a search is led to the words, which are marked. The marks are the browser's own highlight:
// the text stays as it is, however it is drawn anew.

import { request } from "./server.js";
import { placesOf } from "./search_words.js";

const NAME = "found";
const MARKS_LIMIT = 500;

/** What an address asks for. Pure. @param {string} search of the address */
export function askedFor(search) {
  const values = new URLSearchParams(search);
  return { words: values.get("find") ?? "", turnId: values.get("turn") ?? "", answer: values.get("answer") ?? "" };
}

export class FoundWords {
  /**
   * @param {{ turnElement: (turnId: string) => HTMLElement | null, scroll: import("./scroll.js").StickToBottom,
   *   conversation: import("./open_conversation.js").OpenConversation, banner: import("./banner.js").Banner }} page
   */
  constructor(page) {
    this.page = page;
    this.asked = askedFor(location.search);
  }

  /** @param {boolean} isBack who comes back stays where they were */
  show(isBack) {
    const { words, turnId, answer } = this.asked;
    const element = words ? this.page.turnElement(turnId) : null;
    if (!element) return;
    const first = bestOf(this.#mark(element));
    if (first?.startContainer.parentElement && !isBack) this.page.scroll.show(first.startContainer.parentElement, "center");
    // Colours and formulas are added when there is time, and an answer may be being written.
    new MutationObserver(() => this.#mark(element)).observe(element, { childList: true, subtree: true, characterData: true });
    if (answer && !isBack && element.querySelector(`[data-versions~="${CSS.escape(answer)}"]:not([data-generation-id="${CSS.escape(answer)}"])`)) this.#offer(answer);
  }

  /** @param {HTMLElement} element @returns {Range[][]} of the question and of its answer */
  #mark(element) {
    const texts = [...element.querySelectorAll("[data-field=question], [data-field=prose]")];
    const found = texts.map((text) => rangesIn(text, this.asked.words).slice(0, MARKS_LIMIT));
    if (typeof Highlight === "function") CSS.highlights.set(NAME, new Highlight(...found.flat()));
    return found;
  }

  /** @param {string} answer */
  #offer(answer) {
    const { banner, conversation } = this.page;
    banner.show("What you searched for stands in another version of this answer.", "good", "Show it", () => {
      request("POST", `${conversation.url}answers/${answer}/choose/`).then(() => location.reload(), (error) => banner.show(error.message, "bad"));
    });
  }
}

/** The first place in the text that has most of the words. @param {Range[][]} found @returns {Range | undefined} */
function bestOf(found) {
  const counts = found.map((ranges) => new Set(ranges.map((range) => String(range).toLowerCase())).size);
  return found[counts.indexOf(Math.max(...counts))]?.[0];
}

/** Words may go over several elements: formulas, colours. @param {Element} root @param {string} words @returns {Range[]} */
function rangesIn(root, words) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  /** @type {{ node: Node, start: number, end: number }[]} */
  const nodes = [];
  let text = "";
  while (walker.nextNode()) {
    const { data } = /** @type {Text} */ (walker.currentNode);
    nodes.push({ node: walker.currentNode, start: text.length, end: text.length + data.length });
    text += data;
  }
  return placesOf(text, words).map(([start, length]) => {
    const range = new Range();
    const first = nodes.find((one) => start < one.end);
    const last = nodes.find((one) => start + length <= one.end);
    if (first) range.setStart(first.node, start - first.start);
    if (last) range.setEnd(last.node, start + length - last.start);
    return range;
  });
}
