import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Drafts } from "../../static/js/drafts.js";

class Store extends Map {
  getItem(key) {
    return this.get(key) ?? null;
  }
  setItem(key, value) {
    this.set(key, value);
  }
  removeItem(key) {
    this.delete(key);
  }
}

let shared;
const tab = (key = "c1", own = new Store()) => new Drafts(key, { own: () => own, shared: () => shared });

beforeEach(() => {
  shared = new Store();
});

test("it keeps a draft and an unanswered question per conversation", () => {
  const drafts = tab();
  drafts.write("half a thought");
  drafts.writeOutbox({ turn_id: "t1", text: "Why?" });
  assert.equal(tab("c2").read(), "");
  assert.equal(tab("c1").read(), "half a thought");
  drafts.clearOutbox("t2");
  assert.equal(drafts.readOutbox().turn_id, "t1");
  drafts.clearOutbox("t1");
  assert.equal(drafts.readOutbox(), null);
  drafts.write("");
  assert.equal(shared.size, 0);
});

test("two tabs of a conversation keep their own words", () => {
  const [own, other] = [new Store(), new Store()];
  tab("c1", own).write("mine");
  tab("c1", other).write("yours");
  assert.equal(tab("c1", own).read(), "mine");
  assert.equal(tab("c1", other).read(), "yours");
  // Sent in one of them, the words of the other stay, also for a tab that is opened later.
  tab("c1", own).write("");
  assert.equal(tab("c1", other).read(), "yours");
  assert.equal(tab().read(), "yours");
  tab("c1", other).write("");
  assert.equal(tab().read(), "");
});

test("a tab that found a draft and sends it takes it away", () => {
  tab().write("from yesterday");
  const drafts = tab();
  assert.equal(drafts.read(), "from yesterday");
  drafts.write("");
  assert.equal(tab().read(), "");
});

test("it hears that another tab has sent the very words that stand here", () => {
  const drafts = tab();
  const sent = { key: "draft:c1", oldValue: "Why?", newValue: null };
  assert.equal(drafts.isGone(sent, "Why?"), true);
  assert.equal(drafts.isGone(sent, "Why not?"), false);
  assert.equal(drafts.isGone({ ...sent, newValue: "Why? Oh" }, "Why?"), false);
  assert.equal(drafts.isGone({ ...sent, key: "draft:c2" }, "Why?"), false);
  assert.equal(drafts.isGone({ ...sent, oldValue: "" }, ""), false);
});

test("it works where the browser has no storage, or none left", () => {
  const denied = () => { throw new Error("denied"); };
  const none = new Drafts("c1", { own: denied, shared: denied });
  none.write("x");
  assert.equal(none.read(), "");
  none.write("");
  const full = { getItem: () => null, setItem: denied, removeItem: denied };
  const drafts = new Drafts("c1", { own: () => full, shared: () => full });
  drafts.write("x");
  assert.equal(drafts.read(), "");
});
