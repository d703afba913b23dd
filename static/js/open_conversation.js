// @ts-check
// The conversation on the page. A new chat has none until something is typed: then it is made, so that
// sending needs no round trip more.

import { Drafts } from "./drafts.js";
import { request } from "./server.js";
import { TEMPORARY_PAGE } from "./temporary.js";

const TRY_AGAIN_MS = 3000;

/** The id that the server will answer with. @param {any} frame @returns {string} */
export const idOf = (frame) => frame.new_turn_id ?? frame.turn_id;

export class OpenConversation {
  /**
   * @param {HTMLElement} root of the chat: what the server wrote there is the truth
   * @param {{ onMade: () => void, onUnreachable: () => void, onReachable: () => void }} callbacks
   */
  constructor(root, callbacks) {
    this.root = root;
    this.callbacks = callbacks;
    this.drafts = new Drafts(this.id || "new");
    /** @type {Promise<void> | null} */
    this.opening = null;
    /** How many were asked for: only the latest counts. */
    this.asked = 0;
    /** It was deleted while this page shows it. */
    this.isGone = false;
  }

  /** "" while there is none. */
  get id() {
    return this.root.dataset.conversation ?? "";
  }

  /** Its page, with a slash at the end; "" while there is none. */
  get url() {
    return this.root.dataset.url ?? "";
  }

  get isTemporary() {
    return this.root.hasAttribute("data-temporary");
  }

  /** It was deleted. @param {import("./banner.js").Banner} banner @param {() => string} text what is typed */
  lose(banner, text) {
    this.isGone = true;
    const words = this.isTemporary
      ? ["This temporary chat has expired and was deleted, as announced.", "New temporary chat"]
      : ["This conversation was deleted.", "New chat"];
    banner.show(text() ? `${words[0]} Your text is kept.` : words[0], "bad", words[1], () => this.leave(text()));
  }

  /** To a new chat of the same kind, with what is typed. @param {string} text */
  leave(text) {
    this.drafts.write("");
    new Drafts("new").write(text);
    location.assign(this.isTemporary ? TEMPORARY_PAGE : "/");
  }

  open() {
    this.opening ??= this.#make().catch(() => {
      this.opening = null;
      this.callbacks.onUnreachable();
      setTimeout(() => this.open().then(this.callbacks.onReachable), TRY_AGAIN_MS);
      return undefined;
    });
    return this.opening;
  }

  /** The empty one that typing has made is of the other kind: another takes its place. */
  openAnother() {
    this.opening = null;
    return this.open();
  }

  async #make() {
    const number = (this.asked += 1);
    const kind = new URLSearchParams(this.isTemporary ? { temporary: "1" } : {});
    const made = await request("POST", this.root.dataset.createUrl ?? "", kind);
    // Another one was wished for meanwhile; an empty one goes by itself.
    if (number !== this.asked) return;
    const typed = { draft: this.drafts.read(), outbox: this.drafts.readOutbox() };
    this.drafts.write("");
    if (typed.outbox) this.drafts.clearOutbox(idOf(typed.outbox));
    this.drafts = new Drafts(made.id);
    this.drafts.write(typed.draft);
    if (typed.outbox) this.drafts.writeOutbox(typed.outbox);
    this.root.dataset.conversation = made.id;
    this.root.dataset.url = made.url;
    this.callbacks.onMade();
  }
}
