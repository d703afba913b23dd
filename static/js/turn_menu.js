// @ts-check
// The menu of a question and its answer: its link, its words, and deleting it.

import { copy } from "./copying.js";
import { place } from "./place.js";
import { linkTo } from "./turn_link.js";

export class TurnMenu {
  /**
   * @param {HTMLElement} menu
   * @param {import("./line.js").Page & { asking: import("./asking.js").Asking, removal: import("./removal.js").Removal,
   *   toast: import("./toast.js").Toast }} page
   */
  constructor(menu, page) {
    this.menu = menu;
    this.page = page;
    /** @type {import("./thread.js").Turn | null} */
    this.turn = null;
    /** @type {HTMLElement | null} */
    this.opener = null;
    menu.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("[data-do]") : null;
      if (button instanceof HTMLElement) this.#act(button.dataset.do ?? "");
    });
    menu.addEventListener("toggle", () => {
      if (!menu.matches(":popover-open")) this.opener?.removeAttribute("aria-expanded");
    });
  }

  /** @param {import("./thread.js").Turn} turn @param {HTMLElement} opener */
  open(turn, opener) {
    this.turn = turn;
    this.opener = opener;
    opener.setAttribute("aria-expanded", "true");
    this.menu.showPopover();
    place(this.menu, opener);
    this.menu.querySelector("button")?.focus();
  }

  /** @param {string} action */
  #act(action) {
    const { turn, page, opener } = this;
    this.menu.hidePopover();
    opener?.focus();
    if (!turn) return;
    if (action === "link") copy(linkTo(new URL(page.conversation.url, location.href).href, turn.id), null, this.#told("Link copied"));
    else if (action === "question") copy(turn.text, null, this.#told("Question copied"));
    else if (action === "delete" && page.asking.mayAsk()) page.removal.remove(turn.id);
  }

  /** A menu has no button left that could say so. @param {string} words */
  #told(words) {
    return (/** @type {string} */ said) => {
      const text = said === "Copied" ? words : said;
      this.page.say(text);
      this.page.toast.show(text);
    };
  }
}
