// @ts-check
// The title in the status bar, renamed in its place.

import { renameInPlace } from "./rename.js";

const DONE = "(done) ";

export class Title {
  /** @param {HTMLButtonElement} button @param {(before: string, title: string) => void} onRename */
  constructor(button, onRename) {
    this.button = button;
    button.addEventListener("click", () => {
      const before = button.textContent ?? "";
      renameInPlace(button, {
        title: before,
        onSave: (title) => {
          this.show(title);
          onRename(before, title);
        },
      });
    });
  }

  get text() {
    return this.button.textContent?.trim() ?? "";
  }

  /** @param {string} text */
  show(text) {
    (this.button.firstElementChild ?? this.button).textContent = text;
    this.button.title = `${text} · Rename`;
    this.button.ariaDescription = "Rename";
    this.button.disabled = false;
    const mark = document.title.startsWith(DONE) ? DONE : "";
    document.title = `${mark}${text} · Chatsite`;
  }
}

/** An answer has ended in a tab that nobody looks at. */
export function markDone() {
  if (document.hidden && !document.title.startsWith(DONE)) document.title = DONE + document.title;
}

globalThis.document?.addEventListener("visibilitychange", () => {
  if (!document.hidden && document.title.startsWith(DONE)) document.title = document.title.slice(DONE.length);
});
