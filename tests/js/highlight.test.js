import assert from "node:assert/strict";
import test from "node:test";

import core from "highlight.js/lib/core";

import { highlight, prepare } from "../../static/js/highlight.js";

test("it knows the common languages, in the same order, and no others", async () => {
  assert.deepEqual(core.listLanguages(), []);
  await prepare();
  const known = core.listLanguages();
  // Registers what it has in the same core.
  const { default: common } = await import("highlight.js/lib/common");
  assert.deepEqual(known, common.listLanguages());
  assert.ok(known.length > 30);
  assert.match(highlight("x = 1  # one", "py") ?? "", /hljs-comment/);
  assert.equal(highlight("x", "no-such-language"), null);
});
