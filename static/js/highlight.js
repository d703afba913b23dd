// @ts-check
// Colours for code: a chunk of its own, loaded with the first code block that names its language.

import hljs from "highlight.js/lib/common";

/** @param {string} source @param {string} language @returns {string | null} HTML; null: unknown language */
export function highlight(source, language) {
  if (!hljs.getLanguage(language)) return null;
  return hljs.highlight(source, { language, ignoreIllegals: true }).value;
}
