// @ts-check
// Copying: an answer as Markdown, code as it stands. The button says whether it worked.

import { shownText } from "./thread.js";

const SHOWN_MS = 1600;

/** What the buttons say otherwise: one may be pressed again while it says that it has copied. @type {WeakMap<Element, string>} */
const labels = new WeakMap();

/** The Markdown of an answer: known if it was streamed here, else asked for. @param {import("./thread.js").Generation} generation @param {string} url of the conversation */
export async function markdownOf(generation, url) {
  if (generation.text) return shownText(generation);
  const response = await fetch(`${url}answers/${generation.id}.md`);
  if (!response.ok) throw new Error(`${response.status}`);
  return response.text();
}

/** Over plain http, as in many a house, browsers give scripts no clipboard, but the command still works. @param {string} text */
function copyByCommand(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.className = "sr-only";
  field.value = text;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  if (!isCopied) throw new Error("refused");
}

/** @param {string | Promise<string>} text @param {Element | null | undefined} button @param {(text: string) => void} say */
export async function copy(text, button, say) {
  let word = "Copied";
  try {
    const words = await text;
    if (navigator.clipboard) await navigator.clipboard.writeText(words);
    else copyByCommand(words);
  } catch {
    word = "Copying did not work";
  }
  say(word);
  const label = button?.querySelector("[data-field=label]") ?? button;
  if (!label) return;
  const before = labels.get(label) ?? label.textContent ?? "";
  labels.set(label, before);
  label.textContent = word;
  setTimeout(() => {
    label.textContent = before;
  }, SHOWN_MS);
}

/** The buttons on code blocks, also on those that are still to come. @param {HTMLElement} root @param {(text: string) => void} say */
export function copyCodeIn(root, say) {
  root.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest(".copy-code") : null;
    if (button) copy(button.closest("pre")?.querySelector("code")?.textContent ?? "", button, say);
  });
}
