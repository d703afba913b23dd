// @ts-check
// What a screen reader hears: one polite sentence at each change of state; never a flood of words. Who
// wants to hears the answer sentence by sentence while it is written.

const PAUSE_MS = 3000;
const SENTENCE_END = /[.!?:…](?=["')\]]*\s)|\n/g;

/** The whole sentences in a text from `from` on, and where they end. @param {string} text @param {number} from */
export function sentences(text, from) {
  let end = from;
  SENTENCE_END.lastIndex = from;
  for (let match = SENTENCE_END.exec(text); match; match = SENTENCE_END.exec(text)) end = match.index + 1;
  return { words: spoken(text.slice(from, end)), end };
}

/** Without the signs of Markdown. @param {string} text */
export const spoken = (text) =>
  text.replace(/```[^\n]*/g, " ").replace(/\]\([^)\s]*\)/g, "").replace(/^[ \t]*(?:[#>]+|[-*+]|\|)[ \t]*/gm, "").replace(/[*_`|[\]]+/g, "")
    .replace(/\s+/g, " ").trim();

export class Announcer {
  /**
   * @param {{ polite: HTMLElement, urgent: HTMLElement }} regions
   * @param {{ reads: () => boolean, now?: () => number }} options
   */
  constructor({ polite, urgent }, { reads, now = Date.now }) {
    this.polite = polite;
    this.urgent = urgent;
    this.reads = reads;
    this.now = now;
    this.generationId = "";
    this.read = 0;
    this.notBefore = 0;
  }

  /** @param {string} text */
  say(text) {
    this.polite.textContent = text;
  }

  /** Something went wrong: said at once, and once. @param {string} text */
  alert(text) {
    if (this.urgent.textContent !== text) this.urgent.textContent = text;
  }

  /** An answer has grown. @param {string} generationId @param {string} text all of it so far */
  grown(generationId, text) {
    if (!this.reads() || (generationId === this.generationId && this.now() < this.notBefore)) return;
    this.#start(generationId, text);
    const { words, end } = sentences(text, this.read);
    if (!words) return;
    this.read = end;
    this.notBefore = this.now() + PAUSE_MS;
    this.say(words);
  }

  /** It has ended: what was not read yet, and how. @param {string} generationId @param {string} text @param {string} how */
  ended(generationId, text, how) {
    const rest = this.reads() && generationId === this.generationId ? spoken(text.slice(this.read)) : "";
    this.say([rest, how].filter(Boolean).join(" "));
  }

  /** @param {string} generationId @param {string} text */
  #start(generationId, text) {
    if (generationId === this.generationId && text.length >= this.read) return;
    this.generationId = generationId;
    this.read = 0;
  }
}
