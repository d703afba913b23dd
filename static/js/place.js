// @ts-check
// Where a menu stands: above what opened it where there is room, else below; never outside the page.

const GAP_PX = 4;
const EDGE_PX = 8;

/** @param {HTMLElement} menu that is shown @param {Element} opener */
export function place(menu, opener) {
  const near = opener.getBoundingClientRect();
  const { offsetHeight, offsetWidth, style } = menu;
  const above = near.top - offsetHeight - GAP_PX;
  const below = Math.max(EDGE_PX, Math.min(near.bottom + GAP_PX, innerHeight - offsetHeight - EDGE_PX));
  style.insetBlockStart = `${above > EDGE_PX ? above : below}px`;
  style.insetInlineStart = `${Math.max(EDGE_PX, Math.min(near.right - offsetWidth, innerWidth - offsetWidth - EDGE_PX))}px`;
}
