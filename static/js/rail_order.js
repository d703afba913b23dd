// @ts-check
// The order of the rail: pinned ones first, then by date, the newest first. Pure.

/**
 * @typedef {{ id: string, group: string, updated: number, pinned: boolean }} Row
 * @param {Row[]} rows @returns {{ label: string, ids: string[] }[]}
 */
export function grouped(rows) {
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  const newestFirst = [...rows].sort((one, other) => other.updated - one.updated);
  if (rows.some((row) => row.pinned)) groups.set("Pinned", []);
  for (const row of newestFirst) {
    const label = row.pinned ? "Pinned" : row.group;
    const ids = groups.get(label);
    if (ids) ids.push(row.id);
    else groups.set(label, [row.id]);
  }
  return [...groups].map(([label, ids]) => ({ label, ids }));
}
