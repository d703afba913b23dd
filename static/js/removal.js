// @ts-check
// Deleting a question with its answers. It goes from the page at once; the server is told when nobody
// wants it back, and before anything else is asked.

import { request } from "./server.js";

/** What goes with it: of several wordings one takes its branch along. Pure. @param {import("./thread.js").Turn[]} turns @param {string} turnId */
export function goesWith(turns, turnId) {
  const at = turns.findIndex((turn) => turn.id === turnId);
  if (at < 0) return [];
  return (turns[at].siblings?.length ?? 1) > 1 ? turns.slice(at) : [turns[at]];
}

export class Removal {
  /** @param {import("./line.js").Page & { toast: import("./toast.js").Toast, turnElement: (turnId: string) => HTMLElement | null }} page */
  constructor(page) {
    this.page = page;
    /** @type {Promise<void> | null} */
    this.telling = null;
    /** Off the page; the server may have them yet. @type {Set<string>} */
    this.gone = new Set();
  }

  /** @param {string} turnId */
  remove(turnId) {
    const { dispatch, say, toast, thread } = this.page;
    const { turns } = thread();
    const gone = goesWith(turns, turnId);
    if (!gone.length) return;
    const at = turns.indexOf(gone[0]);
    for (const { id } of gone) this.gone.add(id);
    const restore = () => {
      for (const { id } of gone) this.gone.delete(id);
      dispatch({ type: "local.restore", turns: gone, at });
    };
    const words = gone.length > 1 ? `${gone.length} questions deleted` : "Question deleted";
    toast.show(words, {
      cancel: () => {
        restore();
        /** @type {HTMLElement | null | undefined} */ (this.page.turnElement(turnId)?.querySelector("[data-action=more]"))?.focus();
      },
      commit: () => {
        this.telling = this.#tell(turnId, restore);
      },
    });
    dispatch({ type: "local.remove", turn_ids: gone.map((turn) => turn.id) });
    say(words);
    toast.button.focus();
  }

  /** @param {string} turnId @param {() => void} restore */
  async #tell(turnId, restore) {
    try {
      const { head_turn_id: head } = await request("POST", `${this.page.conversation.url}turns/${turnId}/delete/`, undefined, { keepalive: true });
      // Another branch is shown now, and the page does not hold it.
      if (head) location.reload();
    } catch (error) {
      restore();
      this.page.banner.show(/** @type {Error} */ (error).message, "bad");
    } finally {
      this.telling = null;
    }
  }

  /** What was deleted is deleted, before anything is asked. @returns {Promise<void> | null} null when there is nothing to wait for */
  settle() {
    this.page.toast.commit();
    return this.telling;
  }
}
