import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Line } from "../../static/js/line.js";
import { Wire } from "./wire.js";

const real = { WebSocket: globalThis.WebSocket, fetch: globalThis.fetch };
let line;
let banner;
let mark;
let answer;
let said;
let page;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  Wire.all = [];
  said = [];
  answer = { type: "basic", status: 200 };
  globalThis.location = { protocol: "http:", host: "x" };
  globalThis.WebSocket = Wire;
  globalThis.fetch = async () => answer;
  Object.defineProperty(globalThis, "navigator", { value: { onLine: true }, configurable: true, writable: true });
  banner = {
    kind: "", text: "", words: "", label: "",
    show(text, kind, label) {
      Object.assign(this, { text, kind, label, words: "" });
    },
    reword(text) {
      this.text = text;
    },
    note(words) {
      this.words = words;
    },
    hide() {
      this.kind = "";
    },
  };
  page = {
    root: { dataset: {} }, banner, say: (text) => said.push(text), dispatch: () => {}, before: () => null,
    thread: () => ({ turns: [], generations: {} }), conversation: { id: "1", url: "/c/1/", drafts: { clearOutbox: () => {} } },
  };
  mark = { hidden: true, word: { textContent: "" }, querySelector: () => mark.word };
  line = new Line(page, mark);
  line.connect();
});

afterEach(() => {
  line.stop();
  Object.assign(globalThis, real);
  mock.timers.reset();
});

/** The line is lost, and stays so for longer than a blip. */
function lose() {
  Wire.all.at(-1).cut();
  mock.timers.tick(1_000);
}

test("it counts down, and says when it tries", () => {
  Wire.all[0].open();
  lose();
  assert.match(banner.text, /^Connection lost/);
  assert.deepEqual([mark.hidden, mark.word.textContent], [false, "Reconnecting"]);
  assert.equal(banner.words, "Trying now.");
  Wire.all[1].cut();
  assert.equal(banner.words, "Next try in 1 s.");
  mock.timers.tick(1_000);
  assert.equal(banner.words, "Trying now.");
  Wire.all[2].open();
  assert.equal(banner.kind, "");
  assert.deepEqual(said, ["Connection lost, reconnecting", "Connected again"]);
});

test("nobody is told of a blip", () => {
  Wire.all[0].open();
  Wire.all[0].cut();
  mock.timers.tick(500);
  Wire.all[1].open();
  mock.timers.tick(5_000);
  assert.equal(banner.text, "");
  assert.deepEqual(said, []);
});

test("one who is offline is told at once", () => {
  Wire.all[0].open();
  navigator.onLine = false;
  Wire.all[0].cut();
  assert.match(banner.text, /^You are offline/);
  assert.equal(mark.word.textContent, "Offline");
});

test("it tells a lost connection from a browser that is offline", () => {
  Wire.all[0].open();
  lose();
  navigator.onLine = false;
  line.tick();
  assert.match(banner.text, /^You are offline/);
  navigator.onLine = true;
  line.tick();
  assert.match(banner.text, /^Connection lost/);
});

test("a question that may have been sent is stopped after it was sent again", () => {
  const stop = { type: "turn.stop", turn_id: "t1" };
  const question = { type: "turn.create", turn_id: "t1", text: "Why?" };
  page.thread = () => ({ turns: [{ id: "t1", status: "sending" }], generations: {} });
  Wire.all[0].open();
  line.ask(question);
  assert.equal(line.withdraw("t1"), false);
  line.stopWaiting("t1");
  assert.deepEqual(Wire.all[0].sent, [question, stop]);
  lose();
  assert.match(banner.text, /It will be stopped then\.$/);
  Wire.all.at(-1).open();
  assert.deepEqual(Wire.all.at(-1).sent, [question, stop]);
});

test("what was accepted meanwhile is not stopped when the line comes back", () => {
  Wire.all[0].open();
  line.ask({ type: "turn.create", turn_id: "t1", text: "Why?" });
  line.stopWaiting("t1");
  line.settle("t1");
  lose();
  Wire.all.at(-1).open();
  assert.deepEqual(Wire.all.at(-1).sent, []);
});

test("the page knows while the line is lost", () => {
  Wire.all[0].open();
  lose();
  assert.equal(page.root.dataset.lost, "true");
  Wire.all.at(-1).open();
  assert.equal(page.root.dataset.lost, undefined);
});

test("sockets that never open are blocked, however often somebody asks for a try", () => {
  for (let number = 0; number < 3; number += 1) {
    Wire.all.at(-1).cut();
    line.socket.retryNow();
  }
  assert.ok(line.isBlocked);
  Wire.all.at(-1).cut();
  assert.match(banner.text, /^No live connection here/);
});

test("one who is signed out is told so until the line is there again", async () => {
  Wire.all[0].open();
  Wire.all[0].cut(4401);
  assert.match(banner.text, /^You are signed out/);
  assert.equal(mark.word.textContent, "Signed out");
  answer = { type: "opaqueredirect", status: 0 };
  line.socket.wake();
  Wire.all.at(-1).cut();
  assert.match(banner.text, /^You are signed out/);
  await new Promise((done) => setImmediate(done));
  assert.ok(line.socket.closed);
});

test("one who has signed in meanwhile, elsewhere, goes on", () => {
  Wire.all[0].open();
  Wire.all[0].cut(4401);
  line.socket.wake();
  Wire.all.at(-1).open();
  assert.equal(banner.kind, "");
});
