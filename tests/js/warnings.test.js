import assert from "node:assert/strict";
import { test } from "node:test";

import { Warnings } from "../../static/js/warnings.js";

const budget = { scope: "user", unit: "tokens", period: "day", model: null, limit: 4000, level: "75", resets_at: "2026-01-02T00:00:00Z" };
const NOON = Date.parse("2026-01-01T12:00:00Z");

function storage() {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
}

test("it warns once for each level of a budget and period", () => {
  const warnings = new Warnings(storage(), () => NOON);
  assert.equal(warnings.isNews({ ...budget, level: "ok" }, "c"), false);
  assert.equal(warnings.isNews(budget, "c"), true);
  assert.equal(warnings.isNews(budget, "c"), false);
  assert.equal(warnings.isNews({ ...budget, level: "90" }, "c"), true);
  assert.equal(warnings.isNews({ ...budget, resets_at: "2026-01-03T00:00:00Z" }, "c"), true);
  assert.equal(warnings.isNews({ ...budget, limit: 8000 }, "c"), true);
});

test("it remembers over a reload, until the period ends", () => {
  const kept = storage();
  assert.equal(new Warnings(kept, () => NOON).isNews(budget, "c"), true);
  assert.equal(new Warnings(kept, () => NOON).isNews(budget, "c"), false);
  const later = new Warnings(kept, () => NOON + 86_400_000);
  assert.deepEqual(later.given, {});
});

test("it tells the budgets of two conversations apart", () => {
  const warnings = new Warnings(storage(), () => NOON);
  const own = { ...budget, scope: "conversation", resets_at: null };
  assert.equal(warnings.isNews(own, "one"), true);
  assert.equal(warnings.isNews(own, "other"), true);
  assert.equal(warnings.isNews(own, "one"), false);
});

test("it works where nothing can be kept", () => {
  const none = { getItem: () => { throw new Error("off"); }, setItem: () => { throw new Error("off"); } };
  const warnings = new Warnings(none, () => NOON);
  assert.equal(warnings.isNews(budget, "c"), true);
  assert.equal(warnings.isNews(budget, "c"), false);
});
