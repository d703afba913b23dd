// @ts-check
// The banners at 75, 90 and 100 % of a budget: once each per budget and period, also over a reload.

const KEY = "warned";

export class Warnings {
  /** @param {Storage} [storage] @param {() => number} [now] */
  constructor(storage = globalThis.localStorage, now = Date.now) {
    this.storage = storage;
    this.now = now;
    /** Until when each warning counts as given; 0: for ever. @type {Record<string, number>} */
    this.given = this.#read();
  }

  /**
   * Whether this is news; from then on it is not.
   * @param {any} budget an event budget.changed @param {string} conversationId
   */
  isNews(budget, conversationId) {
    if (budget.level === "ok") return false;
    const place = budget.scope === "conversation" ? conversationId : "";
    const key = [budget.scope, place, budget.unit, budget.period, budget.model ?? "", budget.limit, budget.resets_at ?? "", budget.level].join("|");
    if (Object.hasOwn(this.given, key)) return false;
    this.given[key] = budget.resets_at ? Date.parse(budget.resets_at) : 0;
    this.#write();
    return true;
  }

  /** @returns {Record<string, number>} */
  #read() {
    try {
      const all = Object.entries(JSON.parse(this.storage.getItem(KEY) ?? "{}"));
      return Object.fromEntries(all.filter(([, until]) => until === 0 || until > this.now()));
    } catch {
      return {};
    }
  }

  #write() {
    try {
      this.storage.setItem(KEY, JSON.stringify(this.given));
    } catch {
      // They last as long as the page.
    }
  }
}
