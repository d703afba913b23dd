// Fingers, keyboards on screens, input methods and files: what is decided without a page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { firstOf, isSecondPress, sendable } from "../../static/js/composer.js";
import { isComposed, isSending, keyWords } from "../../static/js/composing.js";
import { isFilesOnly } from "../../static/js/files.js";
import { heightLeft } from "../../static/js/keyboard.js";
import { set } from "../../static/js/settings.js";

test("it takes a key for the input method's while one composes, and for the Enter that ends it in Safari", () => {
  assert.equal(isComposed({ isComposing: true, keyCode: 13 }), true);
  assert.equal(isComposed({ isComposing: false, keyCode: 229 }), true);
  assert.equal(isComposed({ isComposing: false, keyCode: 13 }), false);
});

const press = (more = {}) => ({ shiftKey: false, altKey: false, ctrlKey: false, metaKey: false, ...more });

test("it sends with Enter, or with the modifier where that is set or there is no Shift, and says which", () => {
  assert.equal(isSending(press()), true);
  assert.equal(isSending(press({ shiftKey: true })), false);
  assert.deepEqual(keyWords(), { hint: "Enter sends, Shift+Enter breaks the line", sends: "Enter" });
  set("sendWithModifier", true);
  assert.equal(isSending(press()), false);
  assert.equal(isSending(press({ ctrlKey: true })), true);
  assert.match(keyWords().hint, /^(⌘ |Ctrl\+)Enter sends, Enter breaks the line$/);
  set("sendWithModifier", false);
  globalThis.matchMedia = () => ({ matches: true });
  assert.equal(isSending(press()), false);
  assert.equal(isSending(press({ metaKey: true })), true);
  assert.deepEqual(keyWords(), { hint: "Enter breaks the line", sends: "" });
  delete globalThis.matchMedia;
});

test("it takes the second half of a double click for no wish to stop", () => {
  assert.equal(isSecondPress({ detail: 2, pointerType: "mouse" }, 120), true);
  assert.equal(isSecondPress({ detail: 1, pointerType: "touch" }, 120), true);
  assert.equal(isSecondPress({ detail: 1, pointerType: "mouse" }, 120), false);
  assert.equal(isSecondPress({ detail: 2, pointerType: "mouse" }, 900), false);
  assert.equal(isSecondPress({ detail: 0, pointerType: "" }, 120), false);
});

test("it tells a picture from text that comes with one", () => {
  assert.equal(isFilesOnly({ types: ["Files"] }), true);
  assert.equal(isFilesOnly({ types: ["text/html", "Files"] }), true);
  assert.equal(isFilesOnly({ types: ["text/plain", "text/html", "Files"] }), false);
  assert.equal(isFilesOnly({ types: ["text/plain"] }), false);
  assert.equal(isFilesOnly(null), false);
});

test("it makes room for a keyboard, not for a pinch nor for a bar that comes and goes", () => {
  assert.equal(heightLeft({ height: 480.4, scale: 1 }, 844), 480);
  assert.equal(heightLeft({ height: 422, scale: 2 }, 844), null);
  assert.equal(heightLeft({ height: 790, scale: 1 }, 844), null);
});

test("it sends no half characters, which no encoding knows", () => {
  assert.equal(sendable("a\ud800b\0c 😀"), "a\ufffdbc 😀");
});

test("it cuts a text that is too long where the server would, not in the middle of a character", () => {
  assert.equal(firstOf("a😀b", 2), "a😀");
  assert.equal(firstOf("ab", 2), "ab");
  assert.equal(firstOf("日本語", 2), "日本");
});
