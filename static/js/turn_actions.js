// @ts-check
// What the buttons of a turn do.

import { copy, markdownOf } from "./copying.js";

/**
 * @typedef {import("./line.js").Page & {
 *   again: import("./again.js").AgainMenu, asking: import("./asking.js").Asking,
 *   feedback: import("./feedback.js").Feedback, menu: import("./turn_menu.js").TurnMenu,
 *   versions: import("./versions.js").Versions, parameters: () => Record<string, any>,
 *   turnElement: (turnId: string) => HTMLElement | null,
 * }} Page
 */

export class TurnActions {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
  }

  /** @param {string} action @param {string} turnId @param {HTMLElement} [pressed] */
  act(action, turnId, pressed) {
    const { asking, versions } = this.page;
    const turn = this.page.thread().turns.find((other) => other.id === turnId);
    const button = this.page.turnElement(turnId)?.querySelector(`[data-action=${action}]`);
    if (action === "copy") this.#copy(turn, button);
    else if (action === "again" || action === "regenerate") this.#again(turn, button);
    else if (action === "retry" || action === "continue") asking.again(action, turnId, {});
    else if (action === "good" || action === "bad") this.#judge(turn, action, button);
    else if (action === "more" && turn && button instanceof HTMLElement) this.page.menu.open(turn, button);
    else if (action === "stop") asking.stop();
    else if (action === "switch" || action === "schedule") asking.redirect(action, turnId, pressed?.dataset.model);
    else if (action === "edit" && turn) asking.edit(turn);
    else if (/^(version|wording)-(previous|next)$/.test(action)) {
      const [kind, step] = action.split("-");
      versions.step(kind === "version" ? "version" : "wording", turnId, step === "next" ? 1 : -1);
    } else if (action === "new_conversation") location.assign("/");
  }

  /** @param {import("./thread.js").Turn | undefined} turn */
  #generation(turn) {
    return turn?.generationId ? this.page.thread().generations[turn.generationId] : null;
  }

  /** @param {import("./thread.js").Turn | undefined} turn @param {Element | null | undefined} button */
  #copy(turn, button) {
    const generation = this.#generation(turn);
    if (generation) copy(markdownOf(generation, this.page.conversation.url), button, this.page.say);
  }

  /** @param {import("./thread.js").Turn | undefined} turn @param {string} action @param {Element | null | undefined} button */
  #judge(turn, action, button) {
    if (turn?.generationId && button instanceof HTMLElement) {
      this.page.feedback.judge(turn.generationId, action === "good" ? "up" : "down", button);
    }
  }

  /** @param {import("./thread.js").Turn | undefined} turn @param {Element | null | undefined} button */
  #again(turn, button) {
    const model = this.#generation(turn)?.model || (this.page.parameters().model ?? "");
    if (turn && this.page.asking.mayAsk() && button instanceof HTMLElement) this.page.again.open(turn.id, button, model);
  }
}
