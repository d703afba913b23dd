import assert from "node:assert/strict";
import { test } from "node:test";

import { grouped } from "../../static/js/rail_order.js";

const row = (id, updated, group = "Today", pinned = false) => ({ id, updated, group, pinned });

test("it groups by date, the newest first", () => {
  const groups = grouped([row("old", 1, "Yesterday"), row("new", 9), row("mid", 5)]);
  assert.deepEqual(groups, [{ label: "Today", ids: ["new", "mid"] }, { label: "Yesterday", ids: ["old"] }]);
});

test("it puts pinned ones first, whatever their date", () => {
  const groups = grouped([row("new", 9), row("old", 1, "Yesterday", true)]);
  assert.deepEqual(groups, [{ label: "Pinned", ids: ["old"] }, { label: "Today", ids: ["new"] }]);
});

test("it shows no heading without rows", () => {
  assert.deepEqual(grouped([]), []);
  assert.deepEqual(grouped([row("one", 1)]).map((group) => group.label), ["Today"]);
});
