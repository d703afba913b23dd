import assert from "node:assert/strict";
import { test } from "node:test";

import { offerText, olderText, partsOf, percentText, savingText, summaryText, windowWarning, worth } from "../../static/js/lens_words.js";

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

/** So many exchanges of 200 tokens, the oldest so many of them not sent. @param {number} count @param {number} dropped */
const filled = (count, dropped, more = {}) => /** @type {any} */ ({
  input_tokens: 200 * (count - dropped), budget_tokens: 1000, is_cut: dropped > 0, older_turns: 0,
  messages: Array.from({ length: count }, (_, at) => ["user", "assistant"].map((role) => ({
    turn_id: String(at), role, tokens: 100, mark: "", status: at < dropped ? "dropped" : "in",
    excerpt: `${role === "user" ? "Question" : "Answer"} ${at} about the rivers of the north and their mouths`,
  }))).flat(),
  ...more,
});

test("it warns before the window is full, and says what goes first", () => {
  assert.equal(windowWarning(filled(3, 0)), null);
  assert.deepEqual(windowWarning(filled(4, 0)), {
    level: "near", text: "Nearly full: “Question 0 about the rivers of…” is soon no longer sent, since the model takes no more.",
  });
  assert.equal(windowWarning(filled(0, 0)), null);
  assert.equal(windowWarning(filled(1, 0, { input_tokens: 990 })), null);
});

test("it says what no longer fits, and nothing of what is left out by wish", () => {
  assert.deepEqual(windowWarning(filled(6, 1)), {
    level: "full", text: "“Question 0 about the rivers of…” and its answer are no longer sent: the model takes no more.",
  });
  assert.match(windowWarning(filled(6, 2, { older_turns: 1200 }))?.text ?? "", /^The oldest 1,202 questions, up to “Question 1 about/);
  assert.equal(windowWarning(filled(6, 2, { is_cut: false, input_tokens: 100 })), null);
});
