// @ts-check
// The text of an answer that was continued: its parts joined, a repeated overlap trimmed.
// `join_parts` in conversations/models/generation.py does the same on the server.

const OVERLAP_LIMIT_CHARACTERS = 200;
// A shorter match is chance: "10" and "0 more" do not overlap.
const OVERLAP_MINIMUM_CHARACTERS = 8;

/**
 * @param {string} before @param {string} after
 * @param {boolean} isLive more may come: a beginning that may turn out to be a repetition is not shown yet
 */
export function joinContinuation(before, after, isLive = false) {
  if (!before) return after;
  if (isLive && after.length < OVERLAP_LIMIT_CHARACTERS && before.slice(-OVERLAP_LIMIT_CHARACTERS).includes(after)) {
    return before;
  }
  const longest = Math.min(OVERLAP_LIMIT_CHARACTERS, before.length, after.length);
  for (let length = longest; length >= OVERLAP_MINIMUM_CHARACTERS; length -= 1) {
    if (before.endsWith(after.slice(0, length))) return before + after.slice(length);
  }
  return before + after;
}
