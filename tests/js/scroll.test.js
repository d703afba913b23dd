// Staying at the end, and leaving it, on a scroller of numbers.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { StickToBottom } from "../../static/js/scroll.js";

globalThis.ResizeObserver = class {
  observe() {}
};
globalThis.requestAnimationFrame = () => 0;
globalThis.HTMLElement = class {
  isContentEditable = false;
  matches = () => true;
};

class Scroller {
  clientWidth = 800;
  scrollHeight = 2000;
  clientHeight = 500;
  children = [];
  listeners = {};
  style = Object.defineProperty({}, "paddingBlockEnd", {
    set: (value) => {
      this.scrollHeight += (parseFloat(value) || 0) - this.room;
      this.room = parseFloat(value) || 0;
      this.scrollTop = this.#top;
    },
  });
  room = 0;
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
    this.listeners.wheel({ deltaX: 0, deltaY: 0, ctrlKey: false, target: this, ...more });
  }
  /** Fingers that go from one place to another. */
  drag(from, to, others = []) {
    const [start, end] = [from, to].map(([clientX, clientY]) => ({ clientX, clientY }));
    this.listeners.touchstart({ touches: [start, ...others] });
    this.listeners.touchmove({ touches: [end, ...others], target: this });
  }
  grow(by) {
    this.scrollHeight += by;
    scroll.follow(true);
  }
}

let scroller;
let jump;
let scroll;
let keys;

beforeEach(() => {
  scroller = new Scroller();
  jump = { hidden: true, dataset: {}, addEventListener: (_, listener) => (jump.click = listener) };
  keys = new EventTarget();
  scroll = new StickToBottom(scroller, jump, keys);
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

const press = (key, more = {}) => keys.dispatchEvent(Object.assign(new Event("keydown"), { key, shiftKey: false, ...more }));

test("it lets keys and the bar move the view in small steps, though text arrives with each", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const ways = [
    () => press("PageUp"), () => press("ArrowUp"), () => press("Home"), () => press(" ", { shiftKey: true }),
    () => scroller.listeners.pointerdown({ target: scroller, offsetX: 801 }),
  ];
  for (const way of ways) {
    scroll.pin();
    const top = scroller.scrollTop;
    way();
    scroller.grow(20);
    assert.equal(scroller.scrollTop, top);
    scroller.scrollTo(top - 0.4);
    scroller.grow(20);
    assert.equal(scroller.scrollTop, top - 0.4);
    assert.equal(jump.hidden, false);
    mock.timers.tick(1000);
    assert.equal(scroller.scrollTop, top - 0.4);
  }
});

test("it follows again where a key or the bar moved nothing, and takes none of other places", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  press("PageUp");
  scroller.grow(20);
  mock.timers.tick(1000);
  assert.equal(scroller.scrollTop, 1520);
  for (const other of [
    () => press("PageDown"), () => press(" "), () => keys.dispatchEvent(typed("ArrowUp")),
    () => scroller.listeners.pointerdown({ target: scroller, offsetX: 300 }),
    () => scroller.listeners.pointerdown({ target: {}, offsetX: 801 }),
  ]) {
    other();
    scroller.grow(20);
    assert.equal(scroller.scrollTop, scroller.scrollHeight - 500);
  }
});

/** A key press in a field. */
function typed(key) {
  const event = Object.assign(new Event("keydown"), { key, shiftKey: false });
  Object.defineProperty(event, "target", { value: new HTMLElement() });
  return event;
}

test("it leaves the end with the finger, not with two, nor sideways", () => {
  scroller.drag([100, 300], [100, 304]);
  scroller.drag([100, 300], [160, 320]);
  scroller.drag([100, 300], [100, 200]);
  scroller.drag([100, 300], [100, 380], [{ clientX: 200, clientY: 100 }]);
  assert.equal(scroll.pinned, true);
  scroller.drag([100, 300], [104, 312]);
  assert.equal(scroll.pinned, false);
});

test("it stays at the end while something inside goes up", () => {
  const field = { scrollTop: 40, parentNode: scroller };
  scroller.wheel({ deltaY: -40, target: field });
  assert.equal(scroll.pinned, true);
  field.scrollTop = 0;
  scroller.wheel({ deltaY: -40, target: field });
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

test("it leaves room below what has become too short to keep its place", () => {
  // The end of the text before a wording that is 300 px shorter than the one before it.
  const element = { getBoundingClientRect: () => ({ top: 50 + 1400 - scroller.scrollTop }) };
  scroll.keep(element, () => {
    scroller.scrollHeight -= 300;
    scroller.scrollTo(scroller.scrollTop);
  });
  assert.equal(element.getBoundingClientRect().top, -50);
  assert.equal(scroller.room, 300);
  scroller.scrollTo(1100);
  assert.equal(scroller.room, 0);
  assert.equal(scroller.scrollTop, 1100);
});
