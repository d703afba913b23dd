// @ts-check
// Work that need not be done at once, in pieces that hold up neither a frame nor a key.

/** A piece may take so long. */
export const SLICE_MS = 8;

/** Resolves when the browser has nothing better to do. @returns {Promise<void>} */
export const idle = () =>
  new Promise((done) => {
    if ("requestIdleCallback" in globalThis) requestIdleCallback(() => done(), { timeout: 1000 });
    else setTimeout(done, 30);
  });

/** Does one piece after the other, as many at a time as fit. @param {Iterable<() => void>} pieces */
export async function inSlices(pieces) {
  let end = performance.now() + SLICE_MS;
  for (const piece of pieces) {
    if (performance.now() >= end) {
      await idle();
      end = performance.now() + SLICE_MS;
    }
    piece();
  }
}

/** Resolves when the next frame has been made: what follows is a task of its own. @returns {Promise<void>} */
export const nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
