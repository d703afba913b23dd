// @ts-check
// A new chat may be a temporary one: chosen before its first question, for good.

const MARK = "#temporary";
/** A new chat that is temporary from its beginning. */
export const TEMPORARY_PAGE = `/${MARK}`;

export class TemporarySwitch {
  /**
   * @param {HTMLButtonElement | null} button
   * @param {import("./line.js").Page & { line: import("./line.js").Line, onSwitched: () => void }} page
   */
  constructor(button, page) {
    this.button = button;
    this.page = page;
    button?.addEventListener("click", () => this.#switch());
    if (location.hash !== MARK || !button || page.conversation.id) return;
    history.replaceState(history.state, "", location.pathname);
    this.#switch();
  }

  #switch() {
    const { root, say, line, conversation } = this.page;
    const temporary = root.toggleAttribute("data-temporary");
    this.button?.setAttribute("aria-pressed", String(temporary));
    say(temporary ? "This chat is temporary" : "This chat will be kept");
    this.page.onSwitched();
    if (!conversation.id && !conversation.opening) return;
    line.drop();
    conversation.openAnother();
  }

  /** The first question was accepted. */
  settle() {
    this.button?.toggleAttribute("disabled", true);
    this.button?.toggleAttribute("hidden", !this.page.conversation.isTemporary);
  }
}
