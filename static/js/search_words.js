// @ts-check
// The words of a search, and where they stand in a text. Pure; conversations/search_words.py does the same.

const WORDS_LIMIT = 12;

/** @param {string} query @returns {RegExp | null} any of its words in any spelling, the longest first */
export function patternOf(query) {
  const words = [...new Set(query.normalize("NFC").split(/\s+/).filter(Boolean))].slice(0, WORDS_LIMIT);
  const spellings = new Set(words.flatMap((word) => [word, word.toLowerCase(), word.toUpperCase()]));
  const longestFirst = [...spellings].sort((a, b) => b.length - a.length);
  const escaped = longestFirst.map((word) => word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return escaped.length ? new RegExp(escaped.join("|"), "giu") : null;
}

/** @param {string} text @param {string} query @returns {[number, number][]} where a word begins, and its length */
export function placesOf(text, query) {
  const pattern = patternOf(query);
  return pattern ? [...text.matchAll(pattern)].map((place) => [place.index, place[0].length]) : [];
}
