// @ts-check
// What Enter does: input methods take it for their word, and with a setting or on touch keyboards it breaks the line.

import { setting } from "./settings.js";

const isMac = /Mac|iP(hone|ad)/.test(globalThis.navigator?.platform ?? "");

/** Whether a key press belongs to an input method; 229 is what Safari reports for the Enter that ends it.
 * @param {{ isComposing?: boolean, keyCode?: number }} event */
export const isComposed = (event) => event.isComposing === true || event.keyCode === 229;

// They have no Shift+Enter.
const isTouch = () => globalThis.matchMedia?.("(pointer: coarse)").matches ?? false;

/** Whether this press of Enter sends.
 * @param {{ shiftKey: boolean, altKey: boolean, ctrlKey: boolean, metaKey: boolean }} press */
export const isSending = ({ shiftKey, altKey, ctrlKey, metaKey }) =>
  !shiftKey && !altKey && (ctrlKey || metaKey || !(setting("sendWithModifier") || isTouch()));

/** What the keys do, and which one sends. */
export function keyWords() {
  if (setting("sendWithModifier")) {
    const keys = isMac ? "⌘ Enter" : "Ctrl+Enter";
    return { hint: `${keys} sends, Enter breaks the line`, sends: keys };
  }
  if (isTouch()) return { hint: "Enter breaks the line", sends: "" };
  return { hint: "Enter sends, Shift+Enter breaks the line", sends: "Enter" };
}
