// Where the arrow keys lead in a menu.

import assert from "node:assert/strict";
import { test } from "node:test";

import { stepOf } from "../../static/js/menu_keys.js";

test("it goes round, up and down, and to both ends", () => {
  assert.equal(stepOf("ArrowDown", 0, 3), 1);
  assert.equal(stepOf("ArrowDown", 2, 3), 0);
  assert.equal(stepOf("ArrowUp", 0, 3), 2);
  assert.equal(stepOf("ArrowUp", 2, 3), 1);
  assert.equal(stepOf("Home", 2, 3), 0);
  assert.equal(stepOf("End", 0, 3), 2);
});

test("it leaves other keys alone, and a menu without items", () => {
  assert.equal(stepOf("Tab", 0, 3), null);
  assert.equal(stepOf("a", 0, 3), null);
  assert.equal(stepOf("ArrowDown", -1, 0), null);
  assert.equal(stepOf("ArrowDown", -1, 3), 0);
  assert.equal(stepOf("ArrowUp", -1, 3), 2);
});
