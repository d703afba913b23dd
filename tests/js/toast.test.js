import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Toast } from "../../static/js/toast.js";

globalThis.addEventListener = () => {};

let button;
let box;
let told;
let toast;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  button = { hidden: true, isHeld: false, matches: () => button.isHeld };
  const text = { textContent: "" };
  box = { dataset: {}, querySelector: (selector) => (selector.includes("undo") ? button : text) };
  told = [];
  toast = new Toast(box, { onUndone: () => told.push("undone") });
});

afterEach(() => mock.timers.reset());

const way = () => ({ cancel: () => told.push("cancel"), commit: () => told.push("commit") });

test("it offers a way back for a while", () => {
  toast.show("Deleted", way());
  assert.equal(button.hidden, false);
  mock.timers.tick(6_000);
  assert.deepEqual(told, []);
  mock.timers.tick(2_000);
  assert.deepEqual([told, button.hidden], [["commit"], true]);
});

test("it does not take the way back from under the hand", () => {
  toast.show("Deleted", way());
  button.isHeld = true;
  mock.timers.tick(30_000);
  assert.deepEqual([told, button.hidden], [[], false]);
  button.isHeld = false;
  mock.timers.tick(8_000);
  assert.deepEqual(told, ["commit"]);
});

test("it offers nothing any more once it was decided otherwise", () => {
  toast.show("Deleted", way());
  toast.commit();
  assert.deepEqual([told, button.hidden, box.dataset.shown], [["commit"], true, undefined]);
});

test("it gives back once, and what comes next decides what stood before", () => {
  toast.show("Deleted", way());
  button.onclick();
  mock.timers.tick(30_000);
  assert.deepEqual(told, ["cancel", "undone"]);
  toast.show("Deleted", way());
  toast.show("Pinned");
  assert.deepEqual(told.slice(2), ["commit"]);
  mock.timers.tick(30_000);
  assert.equal(told.length, 3);
});
