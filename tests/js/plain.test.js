import assert from "node:assert/strict";
import { test } from "node:test";

import { splitEvents } from "../../static/js/plain.js";

const event = (value) => `event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`;

test("it reads events and keeps what is not whole yet", () => {
  const text = event({ type: "turn.accepted" }) + event({ type: "delta", seq: 1, text: "a\nb" }) + 'event: delta\ndata: {"ty';
  const { events, rest } = splitEvents(text);
  assert.deepEqual(events.map((one) => one.type), ["turn.accepted", "delta"]);
  assert.equal(events[1].text, "a\nb");
  assert.equal(rest, 'event: delta\ndata: {"ty');
});

test("it takes a heartbeat for nothing", () => {
  assert.deepEqual(splitEvents(": still here\n\n").events, []);
});

test("it gives the same events wherever the text is cut", () => {
  const text = event({ type: "delta", seq: 1, text: "x" }) + ": still here\n\n" + event({ type: "delta", seq: 2, text: "y" });
  for (let at = 0; at <= text.length; at += 1) {
    const first = splitEvents(text.slice(0, at));
    const second = splitEvents(first.rest + text.slice(at));
    assert.deepEqual([...first.events, ...second.events].map((one) => one.seq), [1, 2]);
  }
});
