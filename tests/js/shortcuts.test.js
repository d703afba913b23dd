import assert from "node:assert/strict";
import { test } from "node:test";

import { commandOf } from "../../static/js/shortcuts.js";

const press = (key, more = {}) => ({ key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more });

const CASES = [
  [press("k", { ctrlKey: true }), "search"],
  [press("k", { metaKey: true }), "search"],
  [press("O", { ctrlKey: true, shiftKey: true }), "newChat"],
  [press("S", { metaKey: true, shiftKey: true }), "toggleRail"],
  [press("C", { ctrlKey: true, shiftKey: true }), "copyAnswer"],
  [press(":", { ctrlKey: true, shiftKey: true }), "copyCode"],
  [press("Escape"), "stop"],
  [press("Escape", { shiftKey: true }), "write"],
  [press("?", { shiftKey: true }), "help"],
  [press("/"), "write"],
  [press("c", { ctrlKey: true }), null],
  [press("s", { ctrlKey: true }), null],
  [press("k"), null],
];

for (const [event, command] of CASES) {
  test(`it takes ${JSON.stringify(event)} for ${command}`, () => assert.equal(commandOf(event, false, true), command));
}

test("it leaves single keys to who is typing, and to who has switched them off", () => {
  assert.equal(commandOf(press("?"), true, true), null);
  assert.equal(commandOf(press("/"), true, true), null);
  assert.equal(commandOf(press("?"), false, false), null);
  assert.equal(commandOf(press("k", { ctrlKey: true }), true, false), "search");
  assert.equal(commandOf(press("Escape"), true, false), "stop");
});
