import assert from "node:assert/strict";
import { test } from "node:test";

import { longLine, previewLine } from "../../static/js/preview_line.js";

const preview = {
  input_tokens: 412, max_output_tokens: 4096, is_cut: false, cost_usd: "0.0018", dropped_turns: 0, confirm: false,
  leaves: { amount: 48120, unit: "tokens", period: "day", scope: "user" }, refusal: null,
};

test("it says what a message takes and leaves", () => {
  assert.equal(previewLine(preview), "≈ 412 in · up to 4,096 out · at most $0.0018 · leaves 48,120 tokens today");
});

test("it says what is left in money and in all", () => {
  const money = { ...preview, leaves: { amount: "3.5", unit: "usd", period: "month", scope: "user" } };
  assert.match(previewLine(money), /leaves \$3\.50 this month$/);
  const whole = { ...preview, leaves: { amount: 10, unit: "tokens", period: "none", scope: "user" } };
  assert.match(previewLine(whole), /leaves 10 tokens$/);
  assert.equal(previewLine({ ...preview, leaves: null, cost_usd: null }), "≈ 412 in · up to 4,096 out · price unknown");
});

test("it says that the answer is cut and what is left out", () => {
  assert.match(previewLine({ ...preview, is_cut: true }), /up to 4,096 out \(cut to fit\)/);
  assert.match(previewLine({ ...preview, dropped_turns: 2 }), /without the oldest 2 questions$/);
});

test("it gives the reason when nothing may be sent", () => {
  const refusal = { code: "budget_exceeded", detail: "Used up.", resets_at: null };
  assert.equal(previewLine({ ...preview, refusal }), "Used up.");
});

test("it says how many tokens a message has that is too long to be sent", () => {
  assert.equal(longLine({ breakdown: { message: 808 } }, 1.5), "≈ 1,212 tokens; about 808 can be sent");
});
