import assert from "node:assert/strict";
import { test } from "node:test";

import { timeOf, waitDetail, waitingOf, waitLabel, waitTitle } from "../../static/js/wait_words.js";

const NOW = new Date(2026, 10, 21, 14, 0, 0).getTime();
const at = (seconds) => new Date(NOW + seconds * 1000).toISOString();
const waiting = (values) => waitingOf({ attempt: 1, max_attempts: 5, ...values });

test("it counts down to the next try and says which it is", () => {
  assert.equal(waitTitle(waiting({ reason: "rate_limit", retry_at: at(5) }), NOW), "Service busy, sending in 5 s (1 of 5)");
  assert.equal(waitTitle(waiting({ reason: "rate_limit", retry_at: at(0) }), NOW), "Service busy, sending now (1 of 5)");
  assert.equal(waitTitle(waiting({ reason: "capacity", retry_at: at(9), place: 3 }), NOW), "In the queue, place 3, sending in 9 s");
  assert.equal(waitTitle(waiting({ reason: "outage", retry_at: at(61) }), NOW), "Service down, trying again in 1 min");
  assert.equal(waitTitle(waiting({ reason: "scheduled", retry_at: at(600) }), NOW), "Sending at 14:10, in 10 min");
});

test("it names the time of day, and the day where it is another one", () => {
  assert.equal(timeOf(at(0), NOW), "at 14:00");
  assert.equal(timeOf(at(36_000), NOW), "tomorrow at 00:00");
  assert.equal(timeOf(at(86_400 * 2), NOW), "on 23 Nov at 14:00");
  assert.equal(waitLabel({ action: "schedule", label: "", run_at: at(300) }, NOW), "Send at 14:05");
  assert.equal(waitLabel({ action: "stop", label: "Cancel" }, NOW), "Cancel");
});

test("it says until when it keeps trying", () => {
  const outage = waiting({ reason: "outage", detail: "It is down.", gives_up_at: at(3600) });
  assert.equal(waitDetail(outage, NOW), "It is down. We keep trying until 15:00.");
});
