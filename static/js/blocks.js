// @ts-check
// Splits a growing Markdown text into settled blocks, rendered once and never touched again, and the
// tail, rendered at each step. Needs no DOM.

import { completed } from "./half_open.js";

/** @typedef {any} Token */

const SELF_CLOSED = new Set(["heading_open", "fence", "hr", "math_block"]);

export class BlockSplitter {
  /** @param {any} markdown a renderer of ./markdown.js */
  constructor(markdown) {
    this.markdown = markdown;
    /** The whole text so far. */
    this.text = "";
    /** A carriage return at the end of a piece: the line feed of the pair may come with the next one. */
    this.heldReturn = "";
    /** Where the tail begins in it. */
    this.settledLength = 0;
    /** Link definitions of the settled part. @type {Record<string, any>} */
    this.references = {};
    this.hasReferences = false;
    /** No more will come: nothing is half open any more, the text is shown as it stands. */
    this.isWhole = false;
    /** Whether the tail is shown otherwise than it stands. */
    this.isCompleted = false;
    /** Set while the tail ends in an open fence whose text grows without a parse. @type {{ char: string, length: number } | null} */
    this.fence = null;
  }

  get tail() {
    return this.text.slice(this.settledLength);
  }

  /**
   * Adds text that only makes an open code block longer.
   * @param {string} added @returns {boolean} false: nothing was added, the caller has to render
   */
  appendToFence(added) {
    if (!this.fence || this.heldReturn || added.includes("\r")) return false;
    const lineStart = this.text.lastIndexOf("\n") + 1;
    const lines = (this.text.slice(lineStart) + added).split("\n");
    const { char } = this.fence;
    for (const line of lines) {
      const content = line.trim();
      // Only marker characters: this line closes the block, or may do so with the next piece.
      if (content && content[0] === char && content === char.repeat(content.length)) return false;
    }
    this.text += added;
    return true;
  }

  /**
   * Adds text and renders: the blocks that settled with it, and the tail.
   * @param {string} added @returns {{ settled: string, tail: string }} unsanitised HTML
   */
  append(added) {
    this.#add(added);
    const tail = this.tail;
    const env = { references: { ...this.references } };
    const shown = this.isWhole ? tail : completed(tail);
    this.isCompleted = shown !== tail;
    const tokens = this.markdown.parse(shown, env);
    if (Object.keys(env.references).length) this.hasReferences = true;
    const { options, renderer } = this.markdown;
    const cut = this.#cut(tail, tokens);
    const settled = cut.token ? renderer.render(tokens.slice(0, cut.token), options, env) : "";
    const rest = renderer.render(tokens.slice(cut.token), options, env);
    this.#findFence(tail, tokens);
    if (cut.length) {
      if (this.hasReferences) {
        const own = { references: { ...this.references } };
        this.markdown.parse(tail.slice(0, cut.length), own);
        this.references = own.references;
      }
      this.settledLength += cut.length;
    }
    return { settled, tail: rest };
  }

  /** The whole text at once: what a reload would show. @returns {string} unsanitised HTML */
  renderAll() {
    return this.markdown.render(this.text);
  }

  /** Line ends as markdown-it sees them, so that its line numbers are ours. @param {string} added */
  #add(added) {
    const piece = this.heldReturn + added;
    this.heldReturn = piece.endsWith("\r") ? "\r" : "";
    this.text += piece.slice(0, piece.length - this.heldReturn.length).replace(/\r\n?/g, "\n");
  }

  /**
   * Everything before the second last block is settled, if a blank line or a block that ends by itself
   * stands before the cut: only then no later text can reach back across it.
   * @param {string} tail @param {Token[]} tokens
   */
  #cut(tail, tokens) {
    /** @type {{ token: number, line: number }[]} */
    const starts = [];
    for (let index = 0; index < tokens.length; index += 1) {
      const token = tokens[index];
      if (token.level === 0 && token.map && token.nesting >= 0) starts.push({ token: index, line: token.map[0] });
    }
    if (starts.length < 3) return { token: 0, length: 0 };
    const lines = lineStarts(tail);
    for (let block = starts.length - 2; block > 0; block -= 1) {
      const { token, line } = starts[block];
      const before = tail.slice(lines[line - 1] ?? 0, lines[line]);
      if (before.trim() === "" || SELF_CLOSED.has(tokens[starts[block - 1].token].type)) {
        return { token, length: lines[line] };
      }
    }
    return { token: 0, length: 0 };
  }

  /** @param {string} tail @param {Token[]} tokens */
  #findFence(tail, tokens) {
    this.fence = null;
    const last = tokens.at(-1);
    if (last?.type !== "fence" || last.level !== 0) return;
    const lines = lineStarts(tail);
    const opening = tail.slice(lines[last.map[0]], lines[last.map[0] + 1] ?? tail.length);
    const closing = tail.slice(lines[last.map[1] - 1] ?? tail.length).trim();
    const isOpeningOnly = last.map[1] - last.map[0] < 2;
    const marker = last.markup;
    const isClosed =
      !isOpeningOnly && closing.length >= marker.length && closing === marker[0].repeat(closing.length);
    // An indented fence takes its indentation from each line: that is left to the parser.
    if (isClosed || !opening.startsWith(marker) || !opening.endsWith("\n")) return;
    this.fence = { char: marker[0], length: marker.length };
  }
}

/** Offsets of the lines as markdown-it counts them. @param {string} text */
function lineStarts(text) {
  const starts = [0];
  let index = text.indexOf("\n");
  while (index >= 0) {
    starts.push(index + 1);
    index = text.indexOf("\n", index + 1);
  }
  return starts;
}
