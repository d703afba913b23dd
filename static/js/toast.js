// @ts-check
// One sentence at the foot of the rail, and for a while a way back.

const UNDO_MS = 7000;

export class Toast {
  /** @param {HTMLElement} box @param {{ onUndone: () => void }} callbacks */
  constructor(box, { onUndone }) {
    this.box = box;
    this.onUndone = onUndone;
    this.text = /** @type {HTMLElement} */ (box.querySelector("[data-field=toast-text]"));
    this.button = /** @type {HTMLButtonElement} */ (box.querySelector("[data-field=toast-undo]"));
    /** @type {{ commit: () => void, timer: ReturnType<typeof setTimeout> } | null} */
    this.undoable = null;
    addEventListener("pagehide", () => this.commit());
  }

  /** One sentence, and a way back for a while. @param {string} text @param {{ commit: () => void, cancel: () => void }} [undo] */
  show(text, undo) {
    this.commit();
    const { button } = this;
    this.text.textContent = text;
    button.hidden = !undo;
    this.box.dataset.shown = "true";
    const undoable = {
      commit: undo?.commit ?? (() => {}),
      timer: setTimeout(() => end(), undo ? UNDO_MS : UNDO_MS / 2),
    };
    const end = () => {
      // Who has come to the way back, by key or pointer, has not decided yet.
      if (undo && this.undoable === undoable && button.matches(":focus-visible, :hover")) {
        undoable.timer = setTimeout(end, UNDO_MS);
        return;
      }
      this.commit();
    };
    this.undoable = undoable;
    button.onclick = () => {
      clearTimeout(undoable.timer);
      this.undoable = null;
      undo?.cancel();
      this.#hide();
      this.onUndone();
    };
  }

  #hide() {
    delete this.box.dataset.shown;
    this.text.textContent = "";
    this.button.hidden = true;
  }

  /** It will not be wanted back. */
  commit() {
    const { undoable } = this;
    if (!undoable) return;
    this.undoable = null;
    clearTimeout(undoable.timer);
    this.#hide();
    undoable.commit();
  }
}
