// @ts-check
// The messages of the lens as rows, newest first. Rows stay where they are while only their state changes,
// so that the keyboard does not lose its place.

import { figure } from "./format.js";
import { STATUS_WORDS, worth } from "./lens_words.js";

/** @typedef {import("./lens_words.js").Context} Context @typedef {import("./lens_words.js").Message} Message */

const WHO = { user: "You", assistant: "Answer" };

export class LensRows {
  /**
   * @param {HTMLElement} list @param {HTMLTemplateElement} template
   * @param {{ onMark: (message: Message, mark: string) => void, onShow: (message: Message) => void }} callbacks
   */
  constructor(list, template, { onMark, onShow }) {
    this.list = list;
    this.template = template;
    /** @type {Map<string, Message>} */
    this.known = new Map();
    list.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("button") : null;
      const message = this.known.get(button?.closest("li")?.dataset.key ?? "");
      if (!button || !message) return;
      const wanted = button.dataset.do ?? "";
      if (wanted === "show") onShow(message);
      else onMark(message, message.mark === wanted ? "" : wanted);
    });
  }

  /** @param {Context} context */
  show(context) {
    const messages = context.messages.toReversed();
    const keys = messages.map(keyOf);
    this.known = new Map(messages.map((message) => [keyOf(message), message]));
    const rows = new Map([...this.list.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.key, row]));
    const wanted = keys.map((key) => rows.get(key) ?? this.#make(key));
    if (wanted.length !== this.list.children.length || wanted.some((row, at) => this.list.children[at] !== row)) {
      this.list.replaceChildren(...wanted);
    }
    messages.forEach((message, at) => fill(/** @type {HTMLElement} */ (wanted[at]), message, context.input_usd_per_million));
  }

  /** @param {string} key */
  #make(key) {
    const row = /** @type {HTMLElement} */ (this.template.content.firstElementChild?.cloneNode(true));
    row.dataset.key = key;
    return row;
  }
}

/** @param {Message} message */
const keyOf = (message) => `${message.turn_id}:${message.role}`;

/** @param {HTMLElement} row @param {Message} message @param {string | null} price */
function fill(row, message, price) {
  const { role, status, mark } = message;
  Object.assign(row.dataset, { role, status });
  const part = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (row.querySelector(selector));
  const about = `${role === "user" ? "your message" : "the answer"} “${message.excerpt.slice(0, 40)}”`;
  text(part(".who"), WHO[role]);
  text(part(".excerpt"), message.excerpt);
  text(part(".lens-state"), STATUS_WORDS[status]);
  text(part(".lens-count"), figure(message.tokens));
  part(".lens-count").title = worth(message.tokens, price);
  part("[data-do=show]").title = "Show in the conversation";
  const pin = part("[data-do=pinned]");
  pin.setAttribute("aria-pressed", String(mark === "pinned"));
  pin.setAttribute("aria-label", `Always send ${about}`);
  pin.title = "Pin: always send";
  const leave = part("[data-do=excluded]");
  leave.setAttribute("aria-pressed", String(mark === "excluded"));
  leave.setAttribute("aria-label", `Leave out ${about}`);
  const isSent = status === "in" || status === "pinned";
  leave.title = isSent ? `Leave out: saves ${worth(message.tokens, price)}` : "Leave out";
}

/** @param {HTMLElement} element @param {string} words */
function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
