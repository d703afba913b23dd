import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { copy } from "../../static/js/copying.js";

const clipboard = { kept: "", refuses: false };
clipboard.writeText = async (text) => {
  if (clipboard.refuses) throw new Error("denied");
  clipboard.kept = text;
};
Object.defineProperty(globalThis.navigator, "clipboard", { value: clipboard, configurable: true });

test("it says that it was copied, for a while also on the button", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const said = [];
  const button = { textContent: "Copy", querySelector: () => null };
  await copy(Promise.resolve("words"), button, (text) => said.push(text));
  assert.equal(clipboard.kept, "words");
  assert.deepEqual([said, button.textContent], [["Copied"], "Copied"]);
  // Pressed again meanwhile.
  mock.timers.tick(1000);
  await copy("words", button, (text) => said.push(text));
  mock.timers.tick(2000);
  assert.equal(button.textContent, "Copy");
  mock.timers.reset();
});

test("it says that the browser, or the server, did not let it", async () => {
  const said = [];
  clipboard.refuses = true;
  await copy("words", null, (text) => said.push(text));
  clipboard.refuses = false;
  await copy(Promise.reject(new Error("404")), null, (text) => said.push(text));
  assert.deepEqual(said, ["Copying did not work", "Copying did not work"]);
});

test("it copies by command where the page has no clipboard, as over plain http", async () => {
  const said = [];
  Object.defineProperty(globalThis.navigator, "clipboard", { value: undefined, configurable: true });
  globalThis.HTMLElement = class {
    focus() {
      globalThis.document.activeElement = this;
    }
  };
  const button = new HTMLElement();
  const fields = [];
  let copied = "";
  globalThis.document = {
    activeElement: button,
    createElement: () => ({ select: () => (document.activeElement = fields[0]), remove: () => fields.pop() }),
    body: { append: (field) => fields.push(field) },
    execCommand: (command) => {
      if (command === "copy") copied = document.activeElement.value;
      return copied !== "secret";
    },
  };
  await copy("words", null, (text) => said.push(text));
  assert.deepEqual([copied, fields.length, document.activeElement === button], ["words", 0, true]);
  await copy("secret", null, (text) => said.push(text));
  assert.deepEqual(said, ["Copied", "Copying did not work"]);
});
