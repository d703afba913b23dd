// @ts-check
// What a person has set on this device; a change is told by the event "settings". Storage may be off: then the settings last as long as the page.

const KEY = "settings";
const DEFAULTS = { sendWithModifier: false, singleKeys: true, readSentences: false };

/** @typedef {keyof typeof DEFAULTS} Name */

/** @type {Record<string, boolean>} */
let known = { ...DEFAULTS };
try {
  known = { ...DEFAULTS, ...JSON.parse(globalThis.localStorage?.getItem(KEY) ?? "{}") };
} catch {
  // As shipped.
}

/** @param {Name} name */
export const setting = (name) => known[name] === true;

/** @param {Name} name @param {boolean} value */
export function set(name, value) {
  known = { ...known, [name]: value };
  globalThis.dispatchEvent?.(new Event("settings"));
  try {
    globalThis.localStorage?.setItem(KEY, JSON.stringify(known));
  } catch {
    // It lasts as long as the page.
  }
}
