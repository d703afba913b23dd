// Staying at the end, and leaving it, on a scroller of numbers.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { StickToBottom } from "../../static/js/scroll.js";

globalThis.ResizeObserver = class {
  observe() {}
};
globalThis.requestAnimationFrame = () => 0;

class Scroller {
  scrollHeight = 2000;
  clientHeight = 500;
  children = [];
  listeners = {};
  style = {};
  #top = 0;
  get scrollTop() {
    return this.#top;
  }
  set scrollTop(top) {
    this.#top = Math.max(0, Math.min(top, this.scrollHeight - this.clientHeight));
  }
  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }
  getBoundingClientRect() {
    return { top: 50 };
  }
  /** As a key, a finger or the bar does it. */
  scrollTo(top) {
    this.scrollTop = top;
    this.listeners.scroll();
  }
  wheel(more) {
    this.listeners.wheel({ deltaX: 0, deltaY: 0, ctrlKey: false, ...more });
  }
}

let scroller;
let jump;
let scroll;

beforeEach(() => {
  scroller = new Scroller();
  jump = { hidden: true, dataset: {}, addEventListener: (_, listener) => (jump.click = listener) };
  scroll = new StickToBottom(scroller, jump);
  scroll.pin();
});

test("it stays at the end while text arrives", () => {
  scroller.scrollHeight = 2600;
  scroll.follow(true);
  assert.equal(scroller.scrollTop, 2100);
  assert.equal(jump.hidden, true);
});

test("it leaves the end at the first turn of the wheel, key or finger, and says that there is more", () => {
  scroller.wheel({ deltaY: -3 });
  scroller.scrollHeight = 2600;
  scroll.follow(true);
  assert.equal(scroller.scrollTop, 1500);
  assert.equal(jump.hidden, false);
  assert.equal(jump.dataset.fresh, "true");
  jump.click();
  assert.equal(scroller.scrollTop, 2100);
  assert.equal(jump.hidden, true);
  scroller.scrollTo(1700);
  assert.equal(scroll.pinned, false);
});

test("it lets who goes up in steps of less than a pixel go", () => {
  scroller.wheel({ deltaY: -140 });
  for (const top of [1499.6, 1499, 1497, 1470]) {
    scroller.scrollTo(top);
    assert.equal(jump.hidden, false);
    assert.equal(scroller.scrollTop, top);
  }
});

test("it takes no zoom, no sideways turn and no shrinking text for a wish to leave", () => {
  scroller.wheel({ deltaY: -40, ctrlKey: true });
  scroller.wheel({ deltaY: -2, deltaX: 30 });
  scroller.wheel({ deltaY: 40 });
  scroller.scrollHeight = 1800;
  scroller.scrollTo(1300);
  assert.equal(scroll.pinned, true);
});

test("it returns to the end with who comes near it", () => {
  scroller.scrollTo(900);
  scroller.scrollTo(1300);
  assert.equal(scroll.pinned, false);
  scroller.scrollTo(1430);
  assert.equal(scroll.pinned, true);
});

test("it shows a question where it was", () => {
  // The element begins 700 px down the text: 50 px of page above, and what was scrolled.
  const element = { getBoundingClientRect: () => ({ top: 50 + 700 - scroller.scrollTop }) };
  scroll.show(element, -120);
  assert.equal(scroller.scrollTop, 820);
  assert.equal(scroll.pinned, false);
});
