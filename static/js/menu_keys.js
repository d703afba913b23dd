// @ts-check
// In a menu the arrow keys go from one item to the next, round and round, as everywhere else.

/** Where a key leads from an item, of so many; null: nowhere. Pure. @param {string} key @param {number} at @param {number} count */
export function stepOf(key, at, count) {
  if (count === 0) return null;
  if (key === "ArrowDown") return (at + 1) % count;
  if (key === "ArrowUp") return (at <= 0 ? count : at) - 1;
  if (key === "Home") return 0;
  return key === "End" ? count - 1 : null;
}

/** @param {Document} page */
export function moveByArrows(page) {
  page.addEventListener("keydown", (event) => {
    const menu = event.target instanceof Element ? event.target.closest("div.menu, .menu-panel") : null;
    if (!menu || event.ctrlKey || event.metaKey || event.altKey) return;
    const items = /** @type {HTMLElement[]} */ ([...menu.querySelectorAll("button, a[href]")].filter((one) => one.checkVisibility()));
    const next = stepOf(event.key, items.indexOf(/** @type {HTMLElement} */ (event.target)), items.length);
    if (next === null) return;
    event.preventDefault();
    items[next].focus();
  });
}
