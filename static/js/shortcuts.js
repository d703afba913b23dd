// @ts-check
// Keys that work everywhere on the chat page, and the list of them.

import { isComposed } from "./composing.js";
import { set, setting } from "./settings.js";

const isMac = /Mac|iP(hone|ad)/.test(globalThis.navigator?.platform ?? "");

/**
 * @typedef {object} Commands
 * @property {() => void} search @property {() => void} newChat @property {() => void} toggleRail
 * @property {() => void} write @property {() => void} copyAnswer @property {() => void} copyCode
 * @property {() => boolean} stop whether there was something to stop
 */

/** What a key press asks for. Pure. @param {KeyboardEvent} event @param {boolean} isTyping @param {boolean} singleKeys @returns {keyof Commands | "help" | null} */
export function commandOf(event, isTyping, singleKeys) {
  const key = event.key.toLowerCase();
  const modifier = event.ctrlKey || event.metaKey;
  if (modifier && !event.altKey) {
    if (!event.shiftKey) return key === "k" ? "search" : null;
    return /** @type {any} */ ({ o: "newChat", s: "toggleRail", c: "copyAnswer", ";": "copyCode", ":": "copyCode" })[key] ?? null;
  }
  if (event.altKey) return null;
  if (key === "escape") return event.shiftKey ? "write" : "stop";
  if (isTyping || !singleKeys) return null;
  if (key === "?") return "help";
  return key === "/" ? "write" : null;
}

/** @param {EventTarget | null} target */
export const isTypedInto = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=radio], [type=checkbox]), textarea, select"));

/** @param {HTMLDialogElement} dialog the list @param {Commands} commands */
export function listen(dialog, commands) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isComposed(event)) return;
    // What is open in front has the keys.
    if (document.querySelector("dialog[open], details.popup[open], :popover-open")) return;
    const command = commandOf(event, isTypedInto(event.target), setting("singleKeys"));
    if (!command) return;
    if (command === "stop") {
      if (commands.stop()) event.preventDefault();
      return;
    }
    event.preventDefault();
    if (command === "help") dialog.showModal();
    else commands[command]();
  });
  for (const button of document.querySelectorAll("[data-help]")) button.addEventListener("click", () => openHelp(dialog));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  if (isMac) for (const key of dialog.querySelectorAll("[data-mod]")) key.textContent = "⌘";
  for (const box of dialog.querySelectorAll("input[data-setting]")) {
    const name = /** @type {import("./settings.js").Name} */ (box.dataset.setting);
    box.checked = setting(name);
    box.addEventListener("change", () => set(name, box.checked));
  }
}

/** From inside the drawer of a phone: one dialog at a time. @param {HTMLDialogElement} dialog */
function openHelp(dialog) {
  document.querySelector("dialog.drawer[open]")?.dispatchEvent(new Event("shut"));
  dialog.showModal();
}
