// @ts-check
// Stays at the bottom while text arrives, until the reader goes up; returns when the reader returns.

import { isKeyUp, isOnBar, isTakenInside, isTowardsUp } from "./upwards.js";

const NEAR_PX = 80;
const SETTLE_FRAMES = 4;
// A key or the bar moves the view in small steps, each of which following the text would undo: it waits for the first.
const HOLD_MS = 300;

export class StickToBottom {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #holding = undefined;

  /** @param {HTMLElement} scroller @param {HTMLElement} jump the button that returns to the latest @param {EventTarget} [keys] where keys are heard */
  constructor(scroller, jump, keys = document) {
    this.scroller = scroller;
    this.jump = jump;
    this.pinned = true;
    /** The latest of the changes around which something keeps its place. */
    this.keeper = 0;
    /** Whether the view stood at the end before them; null while there are none. @type {boolean | null} */
    this.wasPinned = null;
    /** Empty px below the end, where something could not keep its place otherwise: what is shown has become short. */
    this.room = 0;
    /** Puts what is kept where it belongs. */
    this.correct = () => {};
    this.lastTop = scroller.scrollTop;
    this.lastHeight = scroller.scrollHeight;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    scroller.addEventListener("wheel", (event) => {
      const isUp = event.deltaY < 0 && Math.abs(event.deltaY) > Math.abs(event.deltaX) && !event.ctrlKey;
      if (isUp && !isTakenInside(event.target, scroller)) this.#unpin();
    }, { passive: true });
    /** @type {Touch | undefined} */
    let finger;
    scroller.addEventListener("touchstart", ({ touches }) => (finger = touches[0]), { passive: true });
    scroller.addEventListener("touchmove", ({ touches, target }) => {
      if (touches.length === 1 && finger && isTowardsUp(finger, touches[0]) && !isTakenInside(target, scroller)) this.#unpin();
    }, { passive: true });
    scroller.addEventListener("pointerdown", (event) => {
      if (isOnBar(event, scroller)) this.#hold();
    });
    keys.addEventListener("keydown", (event) => {
      if (isKeyUp(/** @type {KeyboardEvent} */ (event))) this.#hold();
    });
    jump.addEventListener("click", () => this.pin());
    // Content grows by more than text: colours, formulas, blocks that are laid out when they come near.
    const observer = new ResizeObserver(() => this.follow());
    for (const element of [scroller, ...scroller.children]) observer.observe(element);
  }

  get #distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  /** Go to the end and stay there. */
  pin() {
    this.#release();
    this.#leave(0);
    this.pinned = true;
    this.follow();
    this.#show(false);
  }

  /** Text was added: keep the end in view, or say that there is more. @param {boolean} [isNew] */
  follow(isNew = false) {
    if (this.pinned && this.#holding !== undefined) return;
    if (this.pinned) {
      this.scroller.scrollTop = this.scroller.scrollHeight;
      this.lastTop = this.scroller.scrollTop;
    } else if (isNew) this.jump.dataset.fresh = "true";
  }

  /**
   * Change the page and keep this element where it is on the screen, though the reader may scroll on.
   * @param {Element} element @param {() => void} change
   */
  keep(element, change) {
    // The last frame may have moved it, and an earlier change has not answered yet.
    this.correct();
    // The browser's own anchoring would answer the same change once more.
    this.scroller.style.overflowAnchor = "none";
    const keeper = (this.keeper += 1);
    if (this.wasPinned === null) this.wasPinned = this.pinned;
    this.pinned = false;
    let wanted = element.getBoundingClientRect().top;
    let top = this.scroller.scrollTop;
    change();
    this.correct = () => {
      // Up, and at the end all the same: the text has become shorter, the reader did not scroll.
      if (this.scroller.scrollTop > top || this.#distance > 1) wanted -= this.scroller.scrollTop - top;
      this.scroller.scrollTop += element.getBoundingClientRect().top - wanted;
      const tooLow = Math.ceil(element.getBoundingClientRect().top - wanted);
      if (tooLow > 1) {
        this.#leave(this.room + tooLow);
        this.scroller.scrollTop += tooLow;
      }
      top = this.scroller.scrollTop;
      this.lastTop = top;
      this.lastHeight = this.scroller.scrollHeight;
    };
    // What comes near is laid out only now, in the next frames: its real height is another.
    const settle = (/** @type {number} */ frames) => {
      // A later change has taken over.
      if (keeper !== this.keeper) return;
      this.correct();
      if (frames > 0) {
        requestAnimationFrame(() => settle(frames - 1));
        return;
      }
      this.correct = () => {};
      this.scroller.style.overflowAnchor = "";
      this.pinned = this.wasPinned === true && this.#distance < NEAR_PX;
      this.wasPinned = null;
      this.#show(!this.pinned && this.#distance > NEAR_PX);
    };
    settle(SETTLE_FRAMES);
  }

  /**
   * Go to this element, though what is around it is laid out only now.
   * @param {Element} element
   * @param {number | "center"} [top] how far below the edge it is to begin, in px, or where in the view it is to be
   */
  show(element, top) {
    this.pinned = false;
    const settle = (/** @type {number} */ frames) => {
      if (typeof top !== "number") element.scrollIntoView({ block: top ?? "start" });
      else this.scroller.scrollTop += element.getBoundingClientRect().top - this.scroller.getBoundingClientRect().top - top;
      this.lastTop = this.scroller.scrollTop;
      this.lastHeight = this.scroller.scrollHeight;
      if (frames > 0) requestAnimationFrame(() => settle(frames - 1));
      else this.#show(this.#distance > NEAR_PX);
    };
    settle(SETTLE_FRAMES);
  }

  /** The reader may be about to go up: nothing moves the view until that is seen. */
  #hold() {
    if (!this.pinned) return;
    this.#release();
    this.#holding = setTimeout(() => {
      this.#release();
      this.follow();
    }, HOLD_MS);
  }

  /** @param {number} room below the end */
  #leave(room) {
    if (room === this.room) return;
    this.room = room;
    // Not by a custom property: all that is inside would inherit it, and be styled anew.
    this.scroller.style.paddingBlockEnd = room ? `${room}px` : "";
  }

  #release() {
    clearTimeout(this.#holding);
    this.#holding = undefined;
  }

  #unpin() {
    if (this.scroller.scrollHeight <= this.scroller.clientHeight) return;
    this.pinned = false;
    this.#show(true);
  }

  #scrolled() {
    const { scrollTop, scrollHeight } = this.scroller;
    const isAsked = this.#holding !== undefined;
    // Shrinking content moves the view up without the reader's doing.
    const wentUp = scrollTop < this.lastTop - (isAsked ? 0 : 1) && scrollHeight >= this.lastHeight;
    // The first step of a smooth way up may be less than a pixel: who stays is not coming back.
    const comesBack = scrollTop > this.lastTop || scrollHeight < this.lastHeight;
    this.lastTop = scrollTop;
    this.lastHeight = scrollHeight;
    // Out of sight it can go unseen.
    if (this.room && this.#distance >= this.room) this.#leave(0);
    if (wentUp && (isAsked || this.#distance > 4)) this.#unpin();
    else if (!this.pinned && comesBack && this.#distance < NEAR_PX) this.pin();
  }

  /** @param {boolean} visible */
  #show(visible) {
    this.jump.hidden = !visible;
    if (!visible) delete this.jump.dataset.fresh;
  }
}
