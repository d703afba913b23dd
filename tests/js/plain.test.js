import assert from "node:assert/strict";
import { test } from "node:test";

import { PlainSender, splitEvents } from "../../static/js/plain.js";

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

// --- Sending --------------------------------------------------------------------------

globalThis.document = { querySelector: () => null };
globalThis.HTMLInputElement = class {};

test("it asks again, from where it was, on a line that has fallen silent", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const [asked, told] = [[], []];
  globalThis.fetch = async (url, { headers, signal }) => {
    asked.push(headers["Last-Event-ID"]);
    const body = new ReadableStream({
      start(stream) {
        const say = (value) => stream.enqueue(new TextEncoder().encode(event(value)));
        if (asked.length === 1) {
          say({ type: "delta", seq: 1, text: "a" });
          signal.addEventListener("abort", () => stream.error(signal.reason));
        } else {
          say({ type: "generation.completed", generation_id: "g1" });
          stream.close();
        }
      },
    });
    return new Response(body);
  };
  const sender = new PlainSender({ id: () => "c1", dispatch: (one) => told.push(one.type), hasSocket: () => false });
  const sending = sender.send({ type: "turn.create", turn_id: "t1", text: "Why?" });
  while (told.length < 1) await new Promise((done) => setImmediate(done));
  context.mock.timers.tick(45_000);
  for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setImmediate(done));
  context.mock.timers.tick(1_000);
  await sending;
  assert.deepEqual(asked, [undefined, "1"]);
  assert.deepEqual(told, ["delta", "generation.completed"]);
});
