import assert from "node:assert/strict";
import test from "node:test";

import { SLICE_MS, inSlices } from "../../static/js/slices.js";

test("it does every piece in order and lets others in between", async () => {
  const done = [];
  const busy = (name) => () => {
    const end = performance.now() + 2 * SLICE_MS;
    while (performance.now() < end);
    done.push(name);
  };
  setTimeout(() => done.push("other"));
  await inSlices([busy("a"), busy("b"), busy("c")]);
  assert.deepEqual(done.filter((name) => name !== "other"), ["a", "b", "c"]);
  assert.deepEqual(done.slice(0, 2), ["a", "other"]);
});
