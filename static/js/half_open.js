// @ts-check
// While an answer is written its last line is often half of something: "**bo", "`cod", "[text](http://exa".
// `completed` gives the text as it will be once that is closed, so that no markers flash by. It is used for
// what is shown meanwhile only; what is shown at the end is the text itself. Pure.

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const BLOCK_START = /^[ \t]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?|#{1,6}[ \t]+|>[ \t]?)+/;
const RULE = /^ {0,3}([-_*])(?:[ \t]*\1){2,}[ \t]*$/;
const LINK = /!?\[((?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*$/;
const LONE_MARKER = /(?<=^|[ \t(>"'])(?:\*{1,3}|_{1,3}|~{1,2}|`{1,2})$/;
const SPACE = /\s/u;
const PUNCTUATION = /[\p{P}\p{S}]/u;

/**
 * @typedef {{ marker: string, count: number }} Opened a run of markers that waits for its end
 * @param {string} text the unsettled end of a text @returns {string}
 */
export function completed(text) {
  if (!/[*_~`[$\\|]/.test(text)) return text;
  const start = paragraphStart(text);
  if (start < 0) return text;
  const paragraph = text.slice(start);
  const whole = displayMath(paragraph) ?? table(paragraph);
  if (whole !== null) return text.slice(0, start) + whole;
  const [before, line] = lastInline(paragraph);
  return text.slice(0, start) + before + inline(line);
}

/** Where the last paragraph begins: behind a blank line or a code block; -1 inside a code block. @param {string} text */
function paragraphStart(text) {
  let [open, start, at] = ["", 0, 0];
  for (const line of text.split("\n")) {
    const next = at + line.length + 1;
    const marker = FENCE.exec(line)?.[1] ?? "";
    if (!open) {
      if (marker && !(marker[0] === "`" && line.slice(line.indexOf(marker) + marker.length).includes("`"))) open = marker;
      else if (!line.trim() && next <= text.length) start = next;
    } else if (marker[0] === open[0] && marker.length >= open.length && line.trim() === marker) {
      open = "";
      start = next;
    }
    at = next;
  }
  return open ? -1 : Math.min(start, text.length);
}

/** A formula of its own paragraph whose end is missing. @param {string} paragraph */
function displayMath(paragraph) {
  const opening = /^ {0,3}(\$\$|\\\[)/.exec(paragraph)?.[1];
  if (!opening) return null;
  const close = opening === "$$" ? "$$" : "\\]";
  const content = paragraph.slice(paragraph.indexOf(opening) + 2);
  if (!content.trim() || content.includes(close)) return null;
  // Half of the end is there.
  return (content.endsWith(close[0]) ? paragraph.slice(0, -1) : paragraph).replace(/\n$/, "") + close;
}

/** The head of a table before the line below it. @param {string} paragraph */
function table(paragraph) {
  const [head, rule = "", ...rows] = paragraph.split("\n");
  if (rows.length || !/^ {0,3}\|/.test(head) || !/^[ \t:|-]*$/.test(rule)) return null;
  const cells = head.trim().replace(/^\|/, "").replace(/\|$/, "").split(/(?<!\\)\|/).length;
  const last = head.lastIndexOf("|") + 1;
  return `${head.slice(0, last)}${inline(head.slice(last))}\n|${" --- |".repeat(cells)}`;
}

/** Where the last run of inline text begins: behind the last marker of a list, heading or quote, in the last cell. @param {string} paragraph @returns {[string, string]} */
function lastInline(paragraph) {
  let at = 0;
  let from = 0;
  for (const line of paragraph.split("\n")) {
    const start = RULE.test(line) ? line.length : (BLOCK_START.exec(line)?.[0].length ?? 0);
    if (start || at === 0) from = at + start;
    at += line.length + 1;
  }
  const line = paragraph.slice(from);
  if (/^[ \t]*\|/.test(paragraph)) {
    const row = Math.max(line.lastIndexOf("\n") + 1, 0);
    const cell = Math.max(row, line.lastIndexOf("|") + 1);
    from += cell;
  }
  return [paragraph.slice(0, from), paragraph.slice(from)];
}

/** @param {string} text of one block, to its end */
function inline(text) {
  if (!text.trim() || RULE.test(text)) return text;
  const linked = text.trimEnd().replace(LINK, "$1");
  // Markers at the very end: nobody can tell yet what they will begin.
  const shown = linked.replace(LONE_MARKER, "");
  const { closers, cut } = scan(shown.trimEnd());
  return shown.trimEnd().slice(0, shown.trimEnd().length - cut) + closers + text.slice(text.trimEnd().length);
}

/** What is open at the end of a text, and how many characters of half an end stand there. @param {string} text */
function scan(text) {
  /** @type {Opened[]} */
  const stack = [];
  for (let at = 0; at < text.length; ) {
    const character = text[at];
    if (character === "\\") {
      if (text[at + 1] === "(" && !text.includes("\\)", at)) return ended(stack, "\\)", 0);
      at += 2;
    } else if (character === "`") {
      const run = runAt(text, at);
      const end = codeEnd(text, at + run.length, run);
      if (end < 0) return halfCode(text, at + run.length, run, stack);
      at = end;
    } else if (text.startsWith("$$", at)) {
      const end = text.indexOf("$$", at + 2);
      if (end < 0) return text.slice(at + 2).trim() ? ended(stack, text.endsWith("$") ? "$" : "$$", 0) : ended(stack, "", text.length - at);
      at = end + 2;
    } else if (character === "*" || character === "_" || character === "~") {
      const run = runAt(text, at);
      const cut = deliver(stack, run, text, at);
      if (cut) return ended(stack, "", cut);
      at += run.length;
    } else at += 1;
  }
  return ended(stack, "", 0);
}

/** @param {Opened[]} stack @param {string} inner closer of what is innermost @param {number} cut */
function ended(stack, inner, cut) {
  const closers = inner + stack.reverse().map(({ marker, count }) => marker.repeat(count)).join("");
  return { closers, cut };
}

/** @param {string} text @param {number} at */
function runAt(text, at) {
  let end = at;
  while (text[end] === text[at]) end += 1;
  return text.slice(at, end);
}

/** Behind the end of a code span, -1 where it has none. @param {string} text @param {number} from @param {string} run */
function codeEnd(text, from, run) {
  for (let at = text.indexOf("`", from); at >= 0; at = text.indexOf("`", at)) {
    const found = runAt(text, at);
    at += found.length;
    if (found === run) return at;
  }
  return -1;
}

/** @param {string} text @param {number} from @param {string} run @param {Opened[]} stack */
function halfCode(text, from, run, stack) {
  const half = /`+$/.exec(text.slice(from))?.[0].length ?? 0;
  const content = text.slice(from, text.length - half);
  return content.trim() ? ended(stack, run, half < run.length ? half : 0) : ended(stack, "", text.length - from + run.length);
}

/**
 * One run of markers: it ends what is open, or opens.
 * @param {Opened[]} stack @param {string} run @param {string} text @param {number} at
 * @returns {number} characters to leave out: half of an end at the end of the text
 */
function deliver(stack, run, text, at) {
  const marker = run[0];
  const before = text[at - 1] ?? " ";
  const after = text[at + run.length] ?? " ";
  const [spaceBefore, spaceAfter] = [SPACE.test(before), SPACE.test(after)];
  const [markBefore, markAfter] = [PUNCTUATION.test(before), PUNCTUATION.test(after)];
  const left = !spaceAfter && (!markAfter || spaceBefore || markBefore);
  const right = !spaceBefore && (!markBefore || spaceAfter || markAfter);
  const mayOpen = left && (marker !== "_" || !right || markBefore);
  const mayClose = right && (marker !== "_" || !left || markAfter);
  let count = run.length;
  if (mayClose) {
    const isLast = at + run.length === text.length;
    for (let top = stack.findLastIndex((one) => one.marker === marker); top >= 0 && count; top = stack.findLastIndex((one) => one.marker === marker)) {
      const opened = stack[top];
      if (isLast && count < opened.count && (marker !== "*" || opened.count === 2)) return count;
      const used = Math.min(count, opened.count);
      stack.length = top + 1;
      opened.count -= used;
      count -= used;
      if (!opened.count) stack.pop();
    }
  }
  // A star between two letters is a product or a footnote as a rule.
  const insideWord = count === 1 && marker === "*" && !spaceBefore && !markBefore;
  if (count && mayOpen && !insideWord && (marker !== "~" || count === 2)) stack.push({ marker, count });
  return 0;
}
