import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { ConversationSocket, backoffMs, connectTimeoutMs } from "../../static/js/socket.js";
import { Wire } from "./wire.js";

const real = globalThis.WebSocket;
let events;
let statuses;
let socket;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  Wire.all = [];
  globalThis.WebSocket = Wire;
  events = [];
  statuses = [];
  socket = new ConversationSocket("ws://x/", {
    onEvent: (event) => events.push(event),
    onStatus: (status) => statuses.push(status),
  });
  socket.start();
});

afterEach(() => {
  socket.stop();
  globalThis.WebSocket = real;
  mock.timers.reset();
});

test("it waits longer after each failure, with jitter, up to a limit", () => {
  assert.equal(backoffMs(0, () => 0), 250);
  assert.equal(backoffMs(0, () => 1), 500);
  assert.equal(backoffMs(3, () => 1), 4000);
  assert.equal(backoffMs(50, () => 1), 8000);
});

test("it keeps a question until the server has spoken about it, and sends it again", () => {
  socket.send({ type: "turn.create", turn_id: "t1", text: "Why?" });
  assert.equal(Wire.all[0].sent.length, 0);
  Wire.all[0].open();
  assert.equal(Wire.all[0].sent.length, 1);
  Wire.all[0].cut();
  mock.timers.tick(1_000);
  Wire.all[1].open();
  assert.deepEqual(Wire.all[1].sent, [{ type: "turn.create", turn_id: "t1", text: "Why?" }]);
  socket.settle("t1");
  Wire.all[1].cut();
  mock.timers.tick(1_000);
  Wire.all[2].open();
  assert.deepEqual(Wire.all[2].sent, []);
});

test("a question can be taken back until it was sent, and not after", () => {
  socket.send({ type: "turn.create", turn_id: "t1", text: "Why?" });
  assert.equal(socket.withdraw("t1"), true);
  Wire.all[0].open();
  assert.deepEqual(Wire.all[0].sent, []);
  socket.send({ type: "turn.create", turn_id: "t2", text: "How?" });
  assert.equal(socket.withdraw("t2"), false);
  Wire.all[0].cut();
  assert.equal(socket.withdraw("t2"), false);
  mock.timers.tick(1_000);
  Wire.all[1].open();
  assert.deepEqual(Wire.all[1].sent, [{ type: "turn.create", turn_id: "t2", text: "How?" }]);
});

test("it does not repeat what is no question", () => {
  socket.send({ type: "turn.stop", turn_id: "t1" });
  Wire.all[0].open();
  assert.deepEqual(Wire.all[0].sent, []);
});

test("it asks a silent line and gives it up when nothing comes", () => {
  Wire.all[0].open();
  mock.timers.tick(20_000);
  assert.deepEqual(Wire.all[0].sent, [{ type: "ping" }]);
  mock.timers.tick(10_000);
  assert.equal(statuses.at(-1), "waiting");
  mock.timers.tick(1_000);
  assert.equal(Wire.all.length, 2);
});

test("it takes any word for a sign of life and keeps the pong to itself", () => {
  Wire.all[0].open();
  mock.timers.tick(20_000);
  Wire.all[0].say({ type: "pong" });
  mock.timers.tick(15_000);
  assert.equal(statuses.at(-1), "open");
  assert.deepEqual(events, []);
});

test("it stops trying when it is signed out", () => {
  Wire.all[0].open();
  Wire.all[0].cut(4401);
  mock.timers.tick(60_000);
  assert.equal(statuses.at(-1), "refused");
  assert.equal(Wire.all.length, 1);
});

test("it does nothing for a line that it has given up", () => {
  Wire.all[0].open();
  Wire.all[0].cut();
  mock.timers.tick(1_000);
  Wire.all[1].open();
  Wire.all[0].onmessage({ data: '{"type":"delta"}' });
  assert.deepEqual(events, []);
});

test("it sends a question again that the server could not take just now", () => {
  Wire.all[0].open();
  const frame = { type: "turn.create", turn_id: "t1", text: "Why?" };
  socket.send(frame);
  Wire.all[0].say({ type: "error", code: "unavailable", detail: "Not now." });
  assert.equal(Wire.all[0].sent.length, 1);
  mock.timers.tick(2_000);
  assert.deepEqual(Wire.all[0].sent, [frame, frame]);
  Wire.all[0].say({ type: "error", code: "unavailable", detail: "Not now." });
  socket.settle("t1");
  mock.timers.tick(2_000);
  assert.equal(Wire.all[0].sent.length, 2);
});

test("it asks at once when the page is shown again after a silence", () => {
  Wire.all[0].open();
  mock.timers.tick(4_000);
  socket.onShown();
  assert.deepEqual(Wire.all[0].sent, []);
  mock.timers.tick(4_000);
  socket.onShown();
  assert.deepEqual(Wire.all[0].sent, [{ type: "ping" }]);
  mock.timers.tick(10_000);
  assert.equal(statuses.at(-1), "waiting");
});

test("it tries again at once when the page is shown again without a line", () => {
  Wire.all[0].open();
  for (let number = 0; number < 5; number += 1) {
    Wire.all.at(-1).cut();
    mock.timers.tick(15_000);
  }
  Wire.all.at(-1).cut();
  const before = Wire.all.length;
  socket.onShown();
  assert.equal(Wire.all.length, before + 1);
  socket.onShown();
  assert.equal(Wire.all.length, before + 1);
});

/** The last line is lost again and again, at once. */
function loseOften(times) {
  for (let number = 0; number < times; number += 1) {
    Wire.all.at(-1).cut();
    mock.timers.tick(8_000);
  }
}

test("it never waits longer than eight seconds for the server to be back", () => {
  loseOften(12);
  assert.equal(Wire.all.length, 13, "each wait was over");
});

test("it gives up a handshake that nobody answers, later each time, and tries again", () => {
  mock.timers.tick(9_999);
  assert.deepEqual(statuses, ["connecting"]);
  mock.timers.tick(1);
  assert.equal(statuses.at(-1), "waiting");
  assert.equal(Wire.all[0].readyState, 3, "it is closed");
  mock.timers.tick(500);
  assert.equal(Wire.all.length, 2);
  mock.timers.tick(15_000);
  assert.equal(statuses.at(-1), "connecting");
  assert.deepEqual([0, 1, 2, 9].map(connectTimeoutMs), [10_000, 20_000, 30_000, 30_000]);
});

test("the network is back: it tries at once, and soon again", () => {
  loseOften(6);
  Wire.all.at(-1).cut();
  const before = Wire.all.length;
  socket.onNetwork();
  assert.equal(Wire.all.length, before + 1);
  Wire.all.at(-1).cut();
  mock.timers.tick(500);
  assert.equal(Wire.all.length, before + 2);
  assert.equal(socket.failures, 8, "what says that sockets are blocked counts on");
});

test("the network is back: a try that was under way is begun anew, a line that may be dead is asked", () => {
  socket.onNetwork();
  assert.equal(Wire.all.length, 2);
  assert.equal(Wire.all[0].readyState, 3);
  assert.deepEqual(statuses, ["connecting", "connecting"], "nothing was lost");
  Wire.all[1].open();
  socket.onNetwork();
  assert.deepEqual(Wire.all[1].sent, [{ type: "ping" }]);
  mock.timers.tick(5_000);
  assert.equal(statuses.at(-1), "waiting");
});

test("somebody looks while a try hangs: it is begun anew, a fresh one is not", () => {
  mock.timers.tick(1_000);
  socket.onShown();
  assert.equal(Wire.all.length, 1);
  mock.timers.tick(1_000);
  socket.onShown();
  assert.equal(Wire.all.length, 2);
});

test("a word typed or sent ends a long wait, at most every three seconds", () => {
  loseOften(6);
  Wire.all.at(-1).cut();
  const before = Wire.all.length;
  socket.triedAtMs = Date.now() - 2_999;
  socket.nudge();
  assert.equal(Wire.all.length, before);
  mock.timers.tick(1);
  socket.send({ type: "turn.create", turn_id: "t1", text: "Why?" });
  assert.equal(Wire.all.length, before + 1);
  socket.nudge();
  mock.timers.tick(3_000);
  socket.nudge();
  assert.equal(Wire.all.length, before + 1, "one is under way");
  Wire.all.at(-1).cut(4401);
  mock.timers.tick(3_000);
  socket.nudge();
  assert.equal(Wire.all.length, before + 1, "it is refused");
});

test("to ask again does not give a dead line more time", () => {
  Wire.all[0].open();
  mock.timers.tick(6_000);
  for (let second = 0; second < 5; second += 1) {
    socket.onShown();
    mock.timers.tick(1_000);
  }
  assert.deepEqual(Wire.all[0].sent, [{ type: "ping" }]);
  assert.equal(statuses.at(-1), "waiting");
});

test("a question on a line that was silent for long asks whether it lives", () => {
  Wire.all[0].open();
  mock.timers.tick(6_000);
  socket.send({ type: "turn.create", turn_id: "t1", text: "Why?" });
  assert.deepEqual(Wire.all[0].sent.map(({ type }) => type), ["ping", "turn.create"]);
  mock.timers.tick(10_000);
  assert.equal(statuses.at(-1), "waiting");
});

test("a network that is gone is noticed at once, and a false alarm changes nothing", () => {
  Wire.all[0].open();
  socket.onOffline();
  Wire.all[0].say({ type: "pong" });
  mock.timers.tick(2_000);
  assert.equal(statuses.at(-1), "open");
  socket.onOffline();
  mock.timers.tick(1_500);
  assert.equal(statuses.at(-1), "waiting");
});
