import assert from "node:assert/strict";
import { test } from "node:test";

import { firstBelow } from "../../static/js/places.js";

const standing = (...bottoms) => bottoms.map((bottom) => ({ bottom, getBoundingClientRect: () => ({ bottom }) }));

test("it finds the first question that reaches into view", () => {
  const turns = standing(-900, -300, 20, 700, 1200);
  assert.equal(firstBelow(turns, 52)?.bottom, 700);
  assert.equal(firstBelow(turns, 19)?.bottom, 20);
  assert.equal(firstBelow(turns, -2000)?.bottom, -900);
});

test("it finds none where all stand above, or there is none", () => {
  assert.equal(firstBelow(standing(-10, 0), 52), undefined);
  assert.equal(firstBelow([], 52), undefined);
});
