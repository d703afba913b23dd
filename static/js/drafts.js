// @ts-check
// What was typed and not yet accepted, per conversation, in this browser. Nothing typed is ever lost:
// a draft goes only when the server has accepted it.
//
// It stands in two stores: that of the tab, so that two tabs do not overwrite each other's words, and the
// one that all tabs share, so that the words written last are there when the tab is not.

const DRAFT = "draft:";
const OUTBOX = "outbox:";

/** @param {() => any} access storage may be off or full: then the page works without @returns {any} */
function quietly(access) {
  try {
    return access();
  } catch {
    return null;
  }
}

export class Drafts {
  /**
   * @param {string} key the conversation's id, or "new"
   * @param {{ own: () => Storage, shared: () => Storage }} [stores] asking for one may fail already
   */
  constructor(key, { own, shared } = { own: () => globalThis.sessionStorage, shared: () => globalThis.localStorage }) {
    this.key = key;
    this.own = own;
    this.shared = shared;
  }

  /** @param {string} name @returns {string | null} */
  #get(name) {
    const own = quietly(() => this.own().getItem(name));
    if (own !== null) return own;
    const shared = quietly(() => this.shared().getItem(name));
    // From now on it is this tab's as well.
    if (shared !== null) quietly(() => this.own().setItem(name, shared));
    return shared;
  }

  /** @param {string} name @param {string} value */
  #set(name, value) {
    for (const store of [this.own, this.shared]) quietly(() => store().setItem(name, value));
  }

  /** What another tab has written since stays. @param {string} name */
  #clear(name) {
    const own = quietly(() => this.own().getItem(name));
    quietly(() => this.own().removeItem(name));
    if (quietly(() => this.shared().getItem(name)) === own) quietly(() => this.shared().removeItem(name));
  }

  /** @returns {string} */
  read() {
    return this.#get(DRAFT + this.key) ?? "";
  }

  /** @param {string} text */
  write(text) {
    if (text) this.#set(DRAFT + this.key, text);
    else this.#clear(DRAFT + this.key);
  }

  /**
   * Whether another tab has sent, or thrown away, the very words that stand here too.
   * @param {{ key: string | null, oldValue: string | null, newValue: string | null }} change an event of the shared store
   * @param {string} text what stands here
   */
  isGone({ key, oldValue, newValue }, text) {
    return key === DRAFT + this.key && newValue === null && oldValue === text && text !== "";
  }

  /** The question that is on its way, so that a reload sends it again with the same id. @returns {any} */
  readOutbox() {
    return quietly(() => JSON.parse(this.#get(OUTBOX + this.key) ?? "null"));
  }

  /** @param {any} frame */
  writeOutbox(frame) {
    this.#set(OUTBOX + this.key, JSON.stringify(frame));
  }

  /** @param {string} turnId */
  clearOutbox(turnId) {
    const frame = this.readOutbox();
    if ((frame?.new_turn_id ?? frame?.turn_id) === turnId) this.#clear(OUTBOX + this.key);
  }
}
