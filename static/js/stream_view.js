// @ts-check
// Shows a text that grows: settled blocks are written once, the tail is patched in place, so that a
// selection survives and a flush costs the same at the end of a long answer as at its start.

import morphdom from "morphdom";

import { BlockSplitter } from "./blocks.js";
import { enhance, isEnhancedFrom } from "./enhance.js";
import { createMarkdown } from "./markdown.js";
import { fragment, sanitise } from "./sanitise.js";

const markdown = createMarkdown();

// Rendering may take at most this share of the time; slow machines get fewer, larger steps.
const RENDER_SHARE = 0.2;
const LONGEST_INTERVAL_MS = 250;
// Of the last steps the cheapest tells what one takes: others were held up by something else.
const COSTS_KEPT = 3;
// What has piled up, as in a tab that was hidden, is shown in steps: more than any model writes in a frame.
const MOST_CHARACTERS_A_STEP = 4000;

const MORPH_OPTIONS = {
  /** @param {HTMLElement} old @param {HTMLElement} fresh */
  onBeforeElUpdated: (old, fresh) => {
    if (isEnhancedFrom(old, fresh)) return false;
    growTexts(old, fresh);
    return true;
  },
};

/** Longer texts are appended to, not replaced: a selection inside them survives. @param {Element} old @param {Element} fresh */
function growTexts(old, fresh) {
  let [node, next] = [old.firstChild, fresh.firstChild];
  for (; node && next; [node, next] = [node.nextSibling, next.nextSibling]) {
    if (node instanceof Text && next instanceof Text) growText(node, next.data);
  }
}

/** @param {Text} node @param {string} data */
function growText(node, data) {
  if (node.data === data) return;
  if (data.startsWith(node.data)) node.appendData(data.slice(node.data.length));
  else node.data = data;
}

export class StreamView {
  splitter = new BlockSplitter(markdown);
  pending = "";
  frame = 0;
  notBefore = 0;
  /** What the last steps took. @type {number[]} */
  costs = [];
  /** Nodes of the settled blocks: the tail begins behind them. */
  settledNodes = 0;
  /** The page's HTML as it was written, to compare with the server's at the end. */
  settledHtml = "";
  tailHtml = "";

  /**
   * @param {HTMLElement} element whose children this view owns
   * @param {{ onFlush?: (hadText: boolean) => void }} [options]
   */
  constructor(element, { onFlush = () => {} } = {}) {
    this.element = element;
    this.onFlush = onFlush;
    this.reset("");
  }

  /** Start over with this text, shown at once. @param {string} text */
  reset(text) {
    this.splitter = new BlockSplitter(markdown);
    this.pending = "";
    this.frame = 0;
    this.notBefore = 0;
    this.costs = [];
    this.settledNodes = 0;
    this.settledHtml = "";
    this.tailHtml = "";
    this.element.replaceChildren();
    if (text) {
      this.pending = text;
      this.flush();
    }
  }

  /** @param {string} text */
  push(text) {
    this.pending += text;
    if (!this.frame) this.frame = requestAnimationFrame((now) => this.#tick(now));
  }

  /** @param {number} now */
  #tick(now) {
    this.frame = 0;
    if (now < this.notBefore) {
      this.frame = requestAnimationFrame((later) => this.#tick(later));
      return;
    }
    const started = performance.now();
    this.flush(MOST_CHARACTERS_A_STEP);
    this.costs = [...this.costs.slice(1 - COSTS_KEPT), performance.now() - started];
    this.notBefore = now + Math.min(LONGEST_INTERVAL_MS, Math.min(...this.costs) / RENDER_SHARE);
    if (this.pending) this.push("");
  }

  /** Show what is pending now. @param {number} [most] characters of it */
  flush(most = Infinity) {
    const added = this.pending.slice(0, most);
    if (!added) return;
    this.pending = this.pending.slice(added.length);
    const hadText = this.splitter.text !== "";
    if (!this.#growFence(added)) this.#render(added);
    this.onFlush(hadText);
  }

  /** @param {string} added */
  #render(added) {
    const { settled, tail } = this.splitter.append(added);
    this.#patch(settled ? sanitise(settled) : "", sanitise(tail));
  }

  /**
   * The answer has ended. The streamed page stays unless the server's HTML is another.
   * @param {string} text @param {string} html
   */
  finish(text, html) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (text !== this.splitter.text + this.splitter.heldReturn + this.pending) {
      if (html) {
        this.#replace(html);
        enhance(this.element.childNodes);
        return;
      }
      this.reset(text);
    }
    this.splitter.isWhole = true;
    this.flush();
    if (this.splitter.hasReferences) {
      // A link may be defined after its use.
      const whole = sanitise(this.splitter.renderAll());
      this.settledNodes = 0;
      this.settledHtml = "";
      this.#patch("", whole);
    } else if (this.splitter.fence || this.splitter.heldReturn || this.splitter.isCompleted) this.#render("");
    const shown = this.settledHtml + this.tailHtml;
    // The strings are equal as a rule; where two serialisers differ, the sanitised form decides.
    if (html && html !== shown && String(sanitise(html)) !== shown) this.#replace(html);
    enhance(this.element.childNodes);
  }

  /** @param {string} html */
  #replace(html) {
    this.element.replaceChildren(fragment(sanitise(html)));
    this.element.dataset.replaced = "true";
  }

  /** @param {string} added @returns {boolean} whether the open code block took it without a render */
  #growFence(added) {
    const text = this.splitter.fence ? this.#openCode() : null;
    if (!text || !this.splitter.appendToFence(added)) return false;
    text.appendData(added);
    return true;
  }

  /** @returns {Text | null} */
  #openCode() {
    let last = this.element.lastChild;
    while (last && last.nodeType === Node.TEXT_NODE) last = last.previousSibling;
    const code = last instanceof HTMLElement && last.tagName === "PRE" ? last.querySelector("code") : null;
    if (!code) return null;
    if (!code.firstChild) code.append("");
    return code.childNodes.length === 1 && code.firstChild instanceof Text ? code.firstChild : null;
  }

  /** @param {any} settledHtml @param {any} tailHtml */
  #patch(settledHtml, tailHtml) {
    const settled = settledHtml ? [...fragment(settledHtml).childNodes] : [];
    const fresh = [...settled, ...fragment(tailHtml).childNodes];
    /** @type {ChildNode | null} */
    let current = this.element.childNodes[this.settledNodes] ?? null;
    for (const node of fresh) {
      if (!current) {
        this.element.append(node);
        continue;
      }
      /** @type {ChildNode | null} */
      const next = current.nextSibling;
      patchNode(current, node);
      current = next;
    }
    while (current) {
      /** @type {ChildNode | null} */
      const next = current.nextSibling;
      current.remove();
      current = next;
    }
    if (settled.length) {
      const from = this.settledNodes;
      this.settledNodes += settled.length;
      this.settledHtml += String(settledHtml);
      enhance([...this.element.childNodes].slice(from, this.settledNodes));
    }
    this.tailHtml = String(tailHtml);
    if (!this.splitter.fence) this.#enhanceClosedCode();
  }

  /** A code block that has just closed is coloured at once, though its text is not settled yet. */
  #enhanceClosedCode() {
    const tail = [...this.element.childNodes].slice(this.settledNodes);
    enhance(tail.filter((node) => node instanceof HTMLElement && node.tagName === "PRE"));
  }
}

/** @param {ChildNode} current @param {Node} fresh */
function patchNode(current, fresh) {
  if (current instanceof HTMLElement && fresh instanceof HTMLElement && current.tagName === fresh.tagName) {
    morphdom(current, fresh, MORPH_OPTIONS);
  } else if (current instanceof Text && fresh instanceof Text) {
    growText(current, fresh.data);
  } else current.replaceWith(fresh);
}
