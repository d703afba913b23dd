// @ts-check
// Signs that the reader wants to go up, before the view has moved. Pure.

import { isTypedInto } from "./shortcuts.js";

// Less than a finger moves before the browser takes it for a drag.
const DRAG_PX = 8;

/** Keys that go up a page when nobody is typing. @param {Pick<KeyboardEvent, "key" | "shiftKey" | "target">} press */
export const isKeyUp = ({ key, shiftKey, target }) =>
  (["ArrowUp", "PageUp", "Home"].includes(key) || (key === " " && shiftKey)) && !isTypedInto(target);

/** Whether a finger pulls the text down, not sideways.
 * @param {{ clientX: number, clientY: number }} from @param {{ clientX: number, clientY: number }} to */
export const isTowardsUp = (from, to) =>
  to.clientY - from.clientY > DRAG_PX && to.clientY - from.clientY > Math.abs(to.clientX - from.clientX);

/** Whether the bar was pressed, which lies beside the content.
 * @param {{ target: EventTarget | null, offsetX: number }} press @param {{ clientWidth: number }} scroller */
export const isOnBar = ({ target, offsetX }, scroller) =>
  /** @type {unknown} */ (target) === scroller && (offsetX < 0 || offsetX >= scroller.clientWidth);

/** Whether something inside, a field or a block of its own, goes up first. @param {any} target @param {unknown} scroller */
export function isTakenInside(target, scroller) {
  for (let element = target; element && element !== scroller; element = element.parentNode) if (element.scrollTop > 0) return true;
  return false;
}
