// @ts-check
// What was typed and not yet accepted, per conversation, in this browser. Nothing typed is ever lost:
// a draft goes only when the server has accepted it.

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
  /** @param {string} key the conversation's id, or "new" @param {Storage} [storage] */
  constructor(key, storage = globalThis.localStorage) {
    this.key = key;
    this.storage = storage;
  }

  /** @returns {string} */
  read() {
    return quietly(() => this.storage.getItem(DRAFT + this.key)) ?? "";
  }

  /** @param {string} text */
  write(text) {
    quietly(() => (text ? this.storage.setItem(DRAFT + this.key, text) : this.storage.removeItem(DRAFT + this.key)));
  }

  /** The question that is on its way, so that a reload sends it again with the same id. @returns {any} */
  readOutbox() {
    return quietly(() => JSON.parse(this.storage.getItem(OUTBOX + this.key) ?? "null"));
  }

  /** @param {any} frame */
  writeOutbox(frame) {
    quietly(() => this.storage.setItem(OUTBOX + this.key, JSON.stringify(frame)));
  }

  /** @param {string} turnId */
  clearOutbox(turnId) {
    const frame = this.readOutbox();
    if ((frame?.new_turn_id ?? frame?.turn_id) === turnId) quietly(() => this.storage.removeItem(OUTBOX + this.key));
  }
}
