// @ts-check
// What is added to a finished block: colours and a copy button on code, formulas on maths. Done when the
// browser is idle, with chunks that are loaded when the first such block appears.

import { SLICE_MS, idle } from "./slices.js";

// Colouring a longer block would hold up the page for too long.
const HIGHLIGHT_LIMIT_CHARACTERS = 16_000;

/** What each enhanced element was made from: a patch with the same source leaves it alone.
 * @type {WeakMap<Element, string>} */
const sources = new WeakMap();

/** @type {Element[]} */
const queue = [];
let scheduled = false;

/** A chunk that is loaded once; what it takes to set it up and its first use are tasks of their own.
 * @template T @param {() => Promise<T>} load @returns {() => Promise<T>} */
function once(load) {
  /** @type {Promise<T> | null} */
  let found = null;
  return () => (found ??= load().then(async (chunk) => {
    await idle();
    return chunk;
  }));
}

const colours = once(async () => {
  const chunk = await import("./highlight.js");
  await idle();
  await chunk.prepare();
  return chunk;
});
const maths = once(() => import("./maths.js"));

/** Whether a patched-in element would only undo what was added to the old one. @param {Element} old @param {Element} fresh */
export function isEnhancedFrom(old, fresh) {
  const source = sources.get(old);
  if (source === undefined) return false;
  if (source === (fresh.textContent ?? "")) return true;
  // The patch undoes what was added, so that it can be added anew.
  sources.delete(old);
  return false;
}

/** Code blocks and formulas inside these nodes, soon. @param {Iterable<Node>} nodes */
export function enhance(nodes) {
  for (const node of nodes) {
    if (!(node instanceof Element)) continue;
    const found = node.matches("pre, .math") ? [node] : node.querySelectorAll("pre, .math");
    for (const element of found) if (!sources.has(element)) queue.push(element);
  }
  schedule();
}

async function schedule() {
  if (scheduled) return;
  scheduled = true;
  while (queue.length) {
    await idle();
    const end = performance.now() + SLICE_MS;
    while (queue.length && performance.now() < end) {
      const element = queue.shift();
      if (element?.isConnected && !sources.has(element)) await one(element).catch(() => {});
    }
  }
  scheduled = false;
}

/** @param {Element} element */
const one = (element) => (element.matches("pre") ? code(element) : math(element));

/** @param {Element} pre */
async function code(pre) {
  const element = pre.querySelector("code");
  if (!element) return;
  const source = element.textContent ?? "";
  const language = /(?:^| )language-(\S+)/.exec(element.className)?.[1] ?? "";
  sources.set(pre, source);
  const bar = document.createElement("span");
  bar.className = "code-bar";
  const name = document.createElement("span");
  name.className = "code-language";
  name.textContent = language;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet copy-code";
  button.textContent = "Copy";
  button.setAttribute("aria-label", language ? `Copy ${language} code` : "Copy code");
  bar.append(name, button);
  pre.append(bar);
  if (!language || source.length > HIGHLIGHT_LIMIT_CHARACTERS) return;
  const { highlight, spans } = await colours();
  // The text may have grown while the chunk was loading.
  const html = element.textContent === source ? highlight(source, language) : null;
  if (html !== null) element.replaceChildren(spans(html));
}

/** @param {Element} element */
async function math(element) {
  const source = element.textContent ?? "";
  sources.set(element, source);
  const { formula } = await maths();
  if (element.textContent === source) formula(source, element, element.classList.contains("math-display"));
}
