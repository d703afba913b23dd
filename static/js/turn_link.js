// @ts-check
// Links to single questions: #turn-ID goes there and takes the focus; a question that is not on the page
// is fetched with everything from there on.

import { request } from "./server.js";

const PREFIX = "#turn-";

/** The address of one question, with what the server needs to show it. Pure. @param {string} conversationUrl absolute @param {string} turnId */
export const linkTo = (conversationUrl, turnId) => `${conversationUrl}?turn=${turnId}${PREFIX}${turnId}`;

/** @param {string} hash @returns {string} the turn that an address names, "" for any other */
export const turnIn = (hash) => (/^#turn-[0-9a-f-]{36}$/.test(hash) ? hash.slice(PREFIX.length) : "");

export class TurnLinks {
  /**
   * @param {{ turnElement: (turnId: string) => HTMLElement | null, scroll: import("./scroll.js").StickToBottom,
   *   conversation: import("./open_conversation.js").OpenConversation, banner: import("./banner.js").Banner }} page
   */
  constructor(page) {
    this.page = page;
    addEventListener("hashchange", () => {
      // Who comes back goes to where they were: see places.js.
      if (history.state?.place === undefined) this.follow();
    });
  }

  /** Go where the address points to. @returns {boolean} whether it points to a question that is here */
  follow() {
    const turnId = turnIn(location.hash);
    if (!turnId) return false;
    const element = this.page.turnElement(turnId);
    if (element) {
      this.page.scroll.show(element);
      element.focus({ preventScroll: true });
      return true;
    }
    const { url } = this.page.conversation;
    if (new URLSearchParams(location.search).get("turn") !== turnId) location.replace(linkTo(url, turnId));
    else this.#explain(url, turnId);
    return false;
  }

  /** It was deleted, or stands on another branch. @param {string} url @param {string} turnId */
  async #explain(url, turnId) {
    const { banner } = this.page;
    const found = await request("GET", `${url}turns/${turnId}/`).catch(() => null);
    if (!found) {
      banner.show("The question that this link leads to was deleted.", "bad");
      return;
    }
    banner.show("The question that this link leads to stands in another version of this conversation.", "good", "Show it", () => {
      request("POST", `${url}turns/${turnId}/choose/`).then(() => location.reload(), (error) => banner.show(error.message, "bad"));
    });
  }
}
