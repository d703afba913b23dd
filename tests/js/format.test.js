import assert from "node:assert/strict";
import { test } from "node:test";

import { joinContinuation } from "../../static/js/continuation.js";
import { atMost, duration, money, rate, receiptLine, remaining, tokens } from "../../static/js/format.js";
import { budgetText, headText, shortText, tightestOf, warningText } from "../../static/js/meter.js";
import { receiptRows } from "../../static/js/receipt.js";

const RECEIPT = {
  input_tokens: 1000, cached_tokens: 200, output_tokens: 204, thinking_tokens: 4, total_tokens: 1204,
  cost_usd: "0.0041", estimated: false, first_token_ms: 310, duration_ms: 2300, model: "demo:friendly",
  model_label: "Demo",
};

test("it writes numbers as people read them", () => {
  assert.equal(tokens(1), "1 token");
  assert.equal(tokens(48120), "48,120 tokens");
  assert.equal(duration(304), "304 ms");
  assert.equal(duration(2300), "2.3 s");
  assert.equal(duration(125000), "2 min 5 s");
  assert.equal(remaining(12240), "3 h 24 min");
  assert.equal(remaining(4.2), "5 s");
});

test("it writes a price with every decimal and at least the cents", () => {
  assert.deepEqual(["0.1", "0.025", "10", "1.25"].map(rate), ["$0.10", "$0.025", "$10.00", "$1.25"]);
});

test("it writes money with four decimals under a cent and never as nothing", () => {
  assert.equal(money("0.0041"), "$0.0041");
  assert.equal(money("0.00001"), "<$0.0001");
  assert.equal(money("0"), "$0.00");
  assert.equal(money("0.01"), "$0.01");
  assert.equal(money("1234.5"), "$1,234.50");
  assert.equal(money(null), "");
});

test("it rounds the most that something costs up, and shows what a change saves", () => {
  const written = { "0.0018": "$0.0018", "0.00181": "$0.0019", "0.00001": "$0.0001", "0.00996": "$0.01", "0.02": "$0.02",
    "0.0223": "$0.0223", "0.02221": "$0.0223", "0.10": "$0.10", "0.99999": "$1.00", "1.001": "$1.01", "1234.5": "$1,234.50", "0": "$0.00" };
  for (const [usd, text] of Object.entries(written)) assert.equal(atMost(usd), text);
  assert.deepEqual([atMost(null), atMost("")], ["", ""]);
});

test("it writes the receipt in one line and says what is estimated or not charged", () => {
  assert.equal(receiptLine(RECEIPT), "1,204 tokens · 2.3 s · $0.0041");
  assert.equal(receiptLine({ ...RECEIPT, estimated: true, cost_usd: null }), "~1,204 tokens · 2.3 s · estimated");
  assert.equal(receiptLine({ ...RECEIPT, charged: false, total_tokens: 0, duration_ms: 0 }), "not charged");
  assert.equal(receiptLine({ ...RECEIPT, charged: false }), "1,204 tokens · 2.3 s · not charged");
});

test("it lists cached and thinking tokens as parts", () => {
  const rows = receiptRows(RECEIPT).map(({ label, value }) => `${label}: ${value}`);
  assert.ok(rows.includes("of which cached: 200"));
  assert.ok(rows.includes("of which thinking: 4"));
  assert.deepEqual(rows.slice(-2), ["Model: Demo", "Model id: demo:friendly"]);
  assert.equal(receiptRows({ ...RECEIPT, temperature: 1.0 }).at(-1)?.value, "1");
  assert.equal(receiptRows({ ...RECEIPT, temperature: 0.7, total_tokens: 0 }).at(-1)?.label, "Model id");
  assert.equal(receiptRows({ ...RECEIPT, temperature: null }).at(-1)?.label, "Model id");
  assert.ok(!receiptRows({ ...RECEIPT, attempts: 1, entry_id: null }).some(({ label }) => /Attempts|Ledger/.test(label)));
  const twice = receiptRows({ ...RECEIPT, attempts: 2, entry_id: "01a201ee-7586-707d-a521-b9f7a8588550" });
  assert.ok(twice.some((row) => row.label === "Attempts" && row.value === "2"));
  const entry = { label: "Ledger entry", value: "…a8588550", kind: "", href: "/usage/entries/01a201ee-7586-707d-a521-b9f7a8588550/" };
  assert.deepEqual(twice.at(-1), entry);
  assert.ok(receiptRows({ ...RECEIPT, cost_usd: null }).some((row) => row.value === "price unknown"));
});

test("it says what the input consisted of and what a cut answer lacks", () => {
  const breakdown = { system: 20, questions: 300, answers: 600, summary: 0, tools: 0, message: 80 };
  const rows = receiptRows({ ...RECEIPT, breakdown, expected_rest_tokens: 1500 }).map(({ label, value }) => `${label}: ${value}`);
  assert.deepEqual(rows.slice(2, 6), ["system prompt: ≈ 20", "your earlier messages: ≈ 300", "earlier answers: ≈ 600", "this message: ≈ 80"]);
  assert.ok(rows.includes("of a whole answer missing: ≈ 1,500"));
  const alone = receiptRows({ ...RECEIPT, breakdown: { message: 1000 } });
  assert.ok(!alone.some((row) => row.label === "this message"));
});

test("it writes the meter and the warning of a budget", () => {
  const budget = { scope: "user", unit: "tokens", period: "day", used: 450, held: 0, limit: 4000, percent: 11, level: "ok", resets_at: null };
  assert.equal(budgetText(budget), "450 / 4,000 tokens today (11 %)");
  assert.equal(budgetText({ ...budget, unit: "usd", used: "0.5", limit: "5" }), "$0.50 / $5.00 today (11 %)");
  assert.equal(shortText(budget), "450 / 4,000 (11 %)");
  assert.equal(budgetText({ ...budget, limit: null }), "450 tokens today, no limit");
  const now = Date.parse("2026-01-01T20:36:00Z");
  const full = { ...budget, used: 4000, percent: 100, level: "100", resets_at: "2026-01-02T00:00:00Z" };
  assert.equal(warningText(full, now), "Your budget for today is used up. It resets in 3 h 24 min.");
  assert.equal(warningText({ ...budget, used: 3000, percent: 75, level: "75" }, now), "75 % of your budget for today is used: 1,000 tokens left.");
  const group = { ...full, scope: "group", period: "none", resets_at: null };
  assert.equal(warningText(group, now), "Your group's budget is used up.");
});

test("the header follows the budget that the next answer fills most, and stays where it is among equals", () => {
  const row = (budget, share, next = "0", hard = "1") => ({ budget, share, next, hard });
  assert.equal(tightestOf([row("site", "10000"), row("mine", "0")], "site"), "site");
  assert.equal(tightestOf([row("site", "10000"), row("mine", "510000")], "site"), "mine");
  assert.equal(tightestOf([row("site", "10000", "4551"), row("mine", "0", "4551111")], "site"), "mine", "small and unused");
  assert.equal(tightestOf([row("site", "51"), row("mine", "51")], "mine"), "mine");
  assert.equal(tightestOf([row("site", "1"), row("soft", "99", "0", "0")], "site"), "site");
  assert.equal(tightestOf([row("soft", "99", "0", "0")], ""), "soft");
  assert.equal(tightestOf([], "gone"), "");
});

test("it joins a continued answer and drops what is said twice", () => {
  assert.equal(joinContinuation("one two three", " four"), "one two three four");
  assert.equal(joinContinuation("the number 10", "0 more"), "the number 100 more");
  assert.equal(joinContinuation("one two three four", "two three four five"), "one two three four five");
  assert.equal(joinContinuation("one two three four", "two three", true), "one two three four", "may be a repetition");
});

test("it says whose budget it is where others use it up as well", () => {
  assert.equal(headText("everyone", "9 / 90 tokens this month (10 %)"), "The site: 9 / 90 tokens this month (10 %)");
  assert.equal(headText("group", "$1.00 / $5.00 (20 %)"), "Your group: $1.00 / $5.00 (20 %)");
  for (const scope of ["user", "own", "conversation"]) assert.equal(headText(scope, "9 / 90 tokens"), "9 / 90 tokens");
});
