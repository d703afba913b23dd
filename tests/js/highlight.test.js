import assert from "node:assert/strict";
import test from "node:test";

import common from "highlight.js/lib/common";

import { highlight, prepare } from "../../static/js/highlight.js";

test("it knows what the common languages are, under all their names", async () => {
  const known = common.listLanguages();
  const names = new Set(known.flatMap((name) => [name, ...(common.getLanguage(name)?.aliases ?? [])]));
  await prepare();
  assert.ok(known.length > 30);
  for (const name of names) {
    const source = "if (a < 3) { b = \"x\" } # & 'y'\n<p class=\"k\">1</p>\n";
    const expected = common.highlight(source, { language: name, ignoreIllegals: true }).value;
    assert.equal(highlight(source, name), expected, name);
  }
  assert.equal(highlight("x", "no-such-language"), null);
});
