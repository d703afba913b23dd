// @ts-check
// Compares the page with the conversation as the server has it, where the page may have missed what others
// changed: a version chosen, a question deleted, the title, pinned, archived.

import { request } from "./server.js";

const TRY_AGAIN_MS = 3000;
// More than the page shows: it may lack the newest ones.
const MORE = 50;

/**
 * @typedef {object} Page
 * @property {() => string} url of the conversation, with a slash at its end
 * @property {number} revision of the conversation that the server rendered
 * @property {() => import("./thread.js").Thread} thread
 * @property {(event: any) => void} dispatch
 */

export class Outline {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.revision = page.revision;
    /** The newest that was told of. */
    this.wanted = page.revision;
    this.running = false;
  }

  /** @param {number} revision that the server has */
  async compare(revision) {
    const { url, dispatch, thread } = this.page;
    this.wanted = revision;
    if (revision === this.revision || this.running) return;
    this.running = true;
    const { turns } = thread();
    const found = await request("GET", `${url()}turns/outline/?last=${turns.length + MORE}`).catch((error) => {
      // It is told once: what did not get through is asked for again.
      if (!error.status || error.status >= 500) setTimeout(() => this.compare(this.wanted), TRY_AGAIN_MS);
      return null;
    });
    this.running = false;
    if (!found) return;
    // What was asked here meanwhile, it cannot know.
    if (thread().turns.at(-1)?.id === turns.at(-1)?.id) {
      this.revision = found.revision;
      dispatch({ ...found, type: "local.outline" });
    }
    if (this.wanted > this.revision) await this.compare(this.wanted);
  }
}
