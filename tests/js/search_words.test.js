import assert from "node:assert/strict";
import { test } from "node:test";

import { askedFor } from "../../static/js/found_words.js";
import { placesOf } from "../../static/js/search_words.js";

const found = (text, query) => placesOf(text, query).map(([start, length]) => text.slice(start, start + length));

test("it finds each word in any order and any capitals", () => {
  assert.deepEqual(found("To be or not to be", "be TO"), ["To", "be", "to", "be"]);
  assert.deepEqual(found("Ärger, ЁЛКА, 東京", "ärger ёлка 東京"), ["Ärger", "ЁЛКА", "東京"]);
  assert.deepEqual(found("STRASSE", "straße"), ["STRASSE"]);
});

test("it takes signs for letters, and nothing for nothing", () => {
  assert.deepEqual(found("a.b (c) [d] 100%", ". (c) [d] %"), [".", "(c)", "[d]", "%"]);
  assert.deepEqual(found("axb", "a.b"), []);
  assert.deepEqual(found("abc", "  "), []);
});

test("it reads what an address asks for", () => {
  assert.deepEqual(askedFor("?turn=T&find=two+words&answer=A"), { words: "two words", turnId: "T", answer: "A" });
  assert.deepEqual(askedFor(""), { words: "", turnId: "", answer: "" });
});
