// @ts-check
// What a keyboard on the screen leaves of the page. Browsers that know `interactive-widget` make the page
// smaller themselves; where only the visual viewport shrinks, the page gets its height here.

// Less than any keyboard, more than a bar of the browser that comes and goes.
const LEAST_PX = 100;
// A pinch makes the visual viewport smaller too, and is none of our business.
const PINCHED = 1.05;

/** The height that is left above a keyboard; null: there is none. Pure.
 * @param {{ height: number, scale: number }} viewport @param {number} pageHeight */
export const heightLeft = ({ height, scale }, pageHeight) =>
  scale < PINCHED && pageHeight - height > LEAST_PX ? Math.round(height) : null;

/** @param {VisualViewport | null} [viewport] */
export function fitAboveKeyboard(viewport = globalThis.visualViewport) {
  const root = document.documentElement;
  viewport?.addEventListener("resize", () => {
    const height = heightLeft(viewport, root.clientHeight);
    if (height === null) root.style.removeProperty("--page-height");
    else {
      root.style.setProperty("--page-height", `${height}px`);
      // It was moved up to show the field, which stands in view now.
      scrollTo(0, 0);
    }
  });
}
