import assert from "node:assert/strict";
import { test } from "node:test";

import { offerText, olderText, partsOf, percentText, savingText, summaryText, worth } from "../../static/js/lens_words.js";

const saving = { messages: 16, before_tokens: 3472, after_tokens: 1704, cost_usd: "0.0007", fits: true, offered: true };
const summary = {
  id: "1", state: "completed", turns: 17, before_tokens: 2805, after_tokens: 105, text: "They met.", error: null,
  receipt: { charged: true, cost_usd: "0.0003" },
};

test("it divides the bar by parts, without gaps and up to the end", () => {
  const parts = partsOf({ system: 10, questions: 0, answers: 333, summary: 0, tools: 0, message: 77 });
  assert.deepEqual(parts.map((part) => part.label), ["System prompt", "Earlier answers", "This message"]);
  assert.equal(parts[0].begin, 0);
  parts.slice(1).forEach((part, at) => assert.equal(part.begin, parts[at].begin + parts[at].width));
  assert.equal(parts[2].begin + parts[2].width, 1000);
  assert.deepEqual(partsOf({}), []);
});

test("it says how full the window is", () => {
  const context = (/** @type {number} */ tokens) => /** @type {any} */ ({ next: { input_tokens: tokens }, window_tokens: 1000 });
  assert.deepEqual([0, 3, 994].map((tokens) => percentText(context(tokens))), ["0 %", "<1 %", "99 %"]);
});

test("it says what leaving a message out saves", () => {
  assert.equal(worth(312, "0.3"), "312 tokens, $0.0001 with each question");
  assert.equal(worth(1, null), "1 token with each question");
  assert.equal(worth(312, "0"), "312 tokens with each question");
});

test("it says what a summary would come to, before and after", () => {
  assert.equal(
    savingText(saving), "16 older messages: 3,472 → at most 1,704 tokens with the next question, for at most $0.0007.",
  );
  assert.match(savingText({ ...saving, fits: false, cost_usd: null }), /question\. Your budget does not allow the call\.$/);
  assert.match(savingText({ ...saving, cost_usd: null }), /for at most an unknown price\.$/);
  assert.equal(
    offerText(saving), "Each question takes 3,472 tokens, or at most 1,704 with a summary (at most $0.0007).",
  );
});

test("it says what became of a summary", () => {
  assert.equal(summaryText(summary), "17 questions with their answers are summarised: 2,805 → 105 tokens, for $0.0003.");
  assert.equal(summaryText({ ...summary, state: "running", turns: 1 }), "Summarising 1 question with its answer…");
  const failed = { ...summary, state: "failed", error: { detail: "The model had an error." } };
  assert.equal(
    summaryText(failed), "There is no summary. The model had an error. Nothing is lost: the messages are sent as before.",
  );
  assert.equal(summaryText({ ...failed, error: null }), "There is no summary. Nothing is lost: the messages are sent as before.");
});

test("it counts down to the next attempt at a summary, and says that it was stopped", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  const waiting = { detail: "GPT is busy.", retry_at: "2026-11-21T12:00:04.200Z", attempt: 1, max_attempts: 5 };
  const paused = { ...summary, state: "waiting", waiting, receipt: null };
  assert.equal(summaryText(paused, now), "GPT is busy. Summarising again in 5 s (1 of 5).");
  assert.equal(summaryText(paused, now + 60_000), "GPT is busy. Summarising again now (1 of 5).");
  const stopped = { ...summary, state: "stopped" };
  assert.equal(
    summaryText(stopped), "There is no summary: you stopped it, and what it had used cost $0.0003. The messages are sent as before.",
  );
  assert.equal(summaryText({ ...stopped, receipt: null }), "There is no summary: you stopped it. The messages are sent as before.");
});

test("it says that older questions are not sent", () => {
  assert.equal(olderText(1), "One older question is not sent.");
  assert.equal(olderText(1200), "1,200 older questions are not sent.");
});
