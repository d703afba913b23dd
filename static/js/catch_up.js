// @ts-check
// Brings what was asked elsewhere onto the page, where the page has missed it.

import { request } from "./server.js";

const TRY_AGAIN_MS = 3000;

/**
 * @typedef {object} Page
 * @property {() => string} url of the conversation, with a slash at its end
 * @property {() => import("./thread.js").Thread} thread
 * @property {(event: any) => void} dispatch
 * @property {(turnId: string) => boolean} isGone whether it was deleted here, and the server may not know yet
 * @property {() => boolean} isSwitching the person chooses another branch at this moment
 */

export class CatchUp {
  /** @param {Page} page @param {() => void} [reload] */
  constructor(page, reload = () => location.reload()) {
    this.page = page;
    this.reload = reload;
    /** @type {Promise<void> | null} */
    this.loading = null;
  }

  /** Once at a time, however often it is asked for. */
  load() {
    this.loading ??= this.#load().finally(() => {
      this.loading = null;
    });
    return this.loading;
  }

  /** The last question that the server has. */
  #last() {
    return this.page.thread().turns.findLast(({ status }) => status === "accepted" || status === "retrying")?.id ?? "";
  }

  async #load() {
    const { url, dispatch, isGone, isSwitching } = this.page;
    const after = this.#last();
    const found = await request("GET", `${url()}turns/newer/?${new URLSearchParams({ after })}`).catch((error) => {
      // It is told once: what did not get through is asked for again.
      if (!error.status || error.status >= 500) setTimeout(() => this.load(), TRY_AGAIN_MS);
      return null;
    });
    if (!found || isSwitching()) return;
    // What came meanwhile came in its order.
    if (after !== this.#last()) await this.#load();
    else if (!found.whole) this.reload();
    else {
      const turns = found.turns.filter((/** @type {any} */ turn) => !isGone(turn.id));
      dispatch({ type: "local.newer", turns, conversation: found.conversation });
    }
  }
}
