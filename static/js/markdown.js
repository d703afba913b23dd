// @ts-check
// Answers as HTML: CommonMark with tables, strikethrough, task lists and maths.
// conversations/markdown.py holds the same rules for the server; a parity test runs the CommonMark and
// GFM specifications through both. Change one, change the other. The result is not yet sanitised.

import MarkdownIt from "markdown-it";

/** @typedef {any} Token */

// The page's own title is h1, each message's author h2.
const HEADING_SHIFT = 2;
// A longer run between two dollar signs is prose about money, not a formula.
const MATH_INLINE_LIMIT_CHARACTERS = 1000;
const LINK_REL = "noopener noreferrer nofollow";

const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const ALLOWED_SCHEME = /^(?:https?|mailto|tel):/i;
const HOST = /^(?:https?:)?\/\/(?:[^/?#@]*@)?([^/?#]+)/i;
const LANGUAGE = /^[A-Za-z0-9_+#.-]{1,32}$/;
const TASK = /^\[([ xX])\][ \t]/;
const LINE_BREAK = /<br[ \t]*\/?>/iy;

/** @param {string} text */
const trim = (text) => text.replace(/^[ \t\n]+/, "").replace(/[ \t\n]+$/, "");
/** @param {string} character */
const isSpace = (character) => character === " " || character === "\t" || character === "\n";

/** @param {string} url */
export const isLinkAllowed = (url) => !SCHEME.test(url) || ALLOWED_SCHEME.test(url);

// --- Links and images -------------------------------------------------------

/** @param {Token} token */
function markLink(token) {
  token.attrSet("rel", LINK_REL);
  token.attrSet("target", "_blank");
}

/** @param {Token[]} tokens @returns {string} */
function plainText(tokens) {
  let text = "";
  for (const token of tokens) {
    if (token.type === "text" || token.type === "code_inline" || token.type === "math_inline") text += token.content;
    else if (token.type === "image") text += plainText(token.children ?? []);
    else if (token.type === "softbreak" || token.type === "hardbreak") text += "\n";
  }
  return text;
}

/**
 * A picture would be fetched from a foreign server as soon as it is shown; a link waits for a click.
 * @param {any} Token @param {Token} image @param {boolean} insideLink @returns {Token[]}
 */
function imageAsLink(Token, image, insideLink) {
  const source = image.attrGet("src") ?? "";
  const alt = plainText(image.children ?? []).trim() || "image";
  const host = HOST.exec(source);
  const label = new Token("text", "", 0);
  label.content = host ? `${alt} (${host[1]})` : alt;
  if (insideLink || !source) return [label];
  const start = new Token("link_open", "a", 1);
  start.attrSet("class", "image-link");
  start.attrSet("href", source);
  markLink(start);
  return [start, label, new Token("link_close", "a", -1)];
}

/** @param {any} Token @param {Token[]} children @returns {Token[]} */
function links(Token, children) {
  const out = [];
  let depth = 0;
  for (const token of children) {
    if (token.type === "image") {
      out.push(...imageAsLink(Token, token, depth > 0));
      continue;
    }
    if (token.type === "link_open") {
      depth += 1;
      markLink(token);
    } else if (token.type === "link_close") depth -= 1;
    out.push(token);
  }
  return out;
}

// --- Core rules -----------------------------------------------------------------

/** Heading levels, cell alignment, links, images and task items. @param {any} state */
function adapt(state) {
  const tokens = state.tokens;
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (token.type === "heading_open" || token.type === "heading_close") {
      token.tag = `h${Math.min(6, Number(token.tag[1]) + HEADING_SHIFT)}`;
    } else if ((token.type === "th_open" || token.type === "td_open") && token.attrs) {
      const style = token.attrGet("style") ?? "";
      token.attrs = style ? [["class", `align-${style.slice(style.lastIndexOf(":") + 1)}`]] : null;
    } else if (token.type === "inline" && token.children?.length) {
      token.children = links(state.Token, token.children);
      if (tokens[index - 1]?.type === "paragraph_open" && tokens[index - 2]?.type === "list_item_open") {
        taskItem(state.Token, tokens[index - 2], token.children);
      }
    }
  }
}

/** @param {any} Token @param {Token} item @param {Token[]} children */
function taskItem(Token, item, children) {
  const first = children[0];
  const match = first.type === "text" ? TASK.exec(first.content) : null;
  if (!match) return;
  item.attrJoin("class", "task");
  const box = new Token("task_box", "span", 0);
  box.meta = { done: match[1] !== " " };
  first.content = first.content.slice(match[0].length);
  children.unshift(box);
}

// --- Maths ------------------------------------------------------------------------

/** @param {string} source @param {number} position */
function isEscaped(source, position) {
  let slashes = 0;
  while (position - slashes > 0 && source[position - slashes - 1] === "\\") slashes += 1;
  return slashes % 2 === 1;
}

/**
 * Where the first unescaped `close` stands between start and end; -1 where there is none.
 * @param {string} source @param {number} start @param {number} end @param {string} close
 */
function mathClose(source, start, end, close) {
  const limit = Math.min(end, start + MATH_INLINE_LIMIT_CHARACTERS + close.length);
  const reach = source.slice(0, limit);
  let position = reach.indexOf(close, start);
  while (position >= 0 && close[0] === "$" && isEscaped(source, position)) position = reach.indexOf(close, position + 1);
  return position;
}

/** @param {any} state @param {boolean} silent */
function mathInline(state, silent) {
  const { src, pos: start, posMax: end } = state;
  let opening = src.slice(start, start + 2);
  let close;
  if (opening === "$$") close = "$$";
  else if (opening === "\\(") close = "\\)";
  else if (opening === "\\[") close = "\\]";
  else if (opening[0] === "$") opening = close = "$";
  else return false;
  const inner = start + opening.length;
  const position = mathClose(src, inner, end, close);
  const content = position > 0 ? src.slice(inner, position) : "";
  if (!trim(content)) return false;
  const after = position + close.length;
  if (
    opening === "$" &&
    (isSpace(content[0]) || isSpace(content[content.length - 1]) || (after < end && /[0-9]/.test(src[after])))
  ) {
    return false;
  }
  if (!silent) {
    const token = state.push("math_inline", "span", 0);
    token.content = content;
    token.markup = opening;
  }
  state.pos = after;
  return true;
}

/**
 * `$$` or `\[` at the start of a line to the same at the end of a line, without a blank line inside.
 * @param {any} state @param {number} startLine @param {number} endLine @param {boolean} silent
 */
function mathBlock(state, startLine, endLine, silent) {
  if (state.sCount[startLine] - state.blkIndent >= 4) return false;
  const position = state.bMarks[startLine] + state.tShift[startLine];
  const opening = state.src.slice(position, position + 2);
  if (opening !== "$$" && opening !== "\\[") return false;
  const close = opening === "$$" ? "$$" : "\\]";
  let line = startLine;
  for (;;) {
    const begin = state.bMarks[line] + state.tShift[line] + (line === startLine ? 2 : 0);
    const text = state.src.slice(begin, state.eMarks[line]).replace(/[ \t\n]+$/, "");
    if (text.endsWith(close)) break;
    line += 1;
    if (line >= endLine || state.isEmpty(line) || state.sCount[line] < state.blkIndent) return false;
  }
  const content = trim(state.getLines(startLine, line + 1, state.blkIndent, false)).slice(2, -2);
  if (!trim(content) || (opening === "$$" && content.includes("$$"))) return false;
  if (silent) return true;
  state.line = line + 1;
  const token = state.push("math_block", "div", 0);
  token.block = true;
  token.content = trim(content);
  token.map = [startLine, state.line];
  token.markup = opening;
  return true;
}

/** `<br>`, which models write into table cells, where Markdown has no line break of its own.
 * @param {any} state @param {boolean} silent */
function htmlLineBreak(state, silent) {
  if (state.src[state.pos] !== "<") return false;
  LINE_BREAK.lastIndex = state.pos;
  const match = LINE_BREAK.exec(state.src);
  if (!match || state.pos + match[0].length > state.posMax) return false;
  if (!silent) state.push("hardbreak", "br", 0);
  state.pos += match[0].length;
  return true;
}

// --- Renderer -----------------------------------------------------------------------

/** @returns {any} a markdown-it instance; `parse(text, env)` and `renderer.render(tokens, options, env)` */
export function createMarkdown() {
  const markdown = new MarkdownIt("commonmark", { html: false });
  markdown.enable(["table", "strikethrough"]);
  markdown.validateLink = isLinkAllowed;
  markdown.inline.ruler.before("escape", "math_inline", mathInline);
  markdown.inline.ruler.before("autolink", "html_line_break", htmlLineBreak);
  markdown.block.ruler.before("fence", "math_block", mathBlock, {
    alt: ["paragraph", "reference", "blockquote", "list"],
  });
  markdown.core.ruler.push("adapt", adapt);

  const { escapeHtml, unescapeAll } = markdown.utils;
  /** @type {Record<string, any>} */
  const rules = markdown.renderer.rules;
  rules.fence = (/** @type {Token[]} */ tokens, /** @type {number} */ index) => {
    const token = tokens[index];
    const language = unescapeAll(token.info).trim().split(/\s+/)[0] ?? "";
    const attribute = LANGUAGE.test(language) ? ` class="language-${escapeHtml(language)}"` : "";
    return `<pre><code${attribute} tabindex="0">${escapeHtml(token.content)}</code></pre>\n`;
  };
  rules.code_block = (/** @type {Token[]} */ tokens, /** @type {number} */ index) =>
    `<pre><code tabindex="0">${escapeHtml(tokens[index].content)}</code></pre>\n`;
  rules.table_open = () => '<div class="table-scroll" role="region" aria-label="Table" tabindex="0"><table>\n';
  rules.table_close = () => "</table></div>\n";
  rules.math_inline = (/** @type {Token[]} */ tokens, /** @type {number} */ index) => {
    const { markup, content } = tokens[index];
    const display = markup === "$$" || markup === "\\[" ? " math-display" : "";
    return `<span class="math${display}">${escapeHtml(content)}</span>`;
  };
  rules.math_block = (/** @type {Token[]} */ tokens, /** @type {number} */ index) =>
    `<div class="math math-display">${escapeHtml(tokens[index].content)}</div>\n`;
  rules.task_box = (/** @type {Token[]} */ tokens, /** @type {number} */ index) => {
    const [name, label] = tokens[index].meta.done ? ["task-done", "Done"] : ["task-open", "Not done"];
    return `<span class="${name}" role="img" aria-label="${label}"></span> `;
  };
  return markdown;
}
