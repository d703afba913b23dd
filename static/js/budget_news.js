// @ts-check
// What the page does when a budget has changed: the meter, the line under the composer, and at 75, 90 and
// 100 % a banner with what helps.

import { warningText } from "./meter.js";
import { Warnings } from "./warnings.js";

/**
 * @typedef {object} Page
 * @property {import("./meter.js").Meter} meter @property {import("./preview.js").SendPreview} preview
 * @property {import("./banner.js").Banner} banner @property {{ open: () => void }} picker
 * @property {import("./open_conversation.js").OpenConversation} conversation @property {(text: string) => void} say
 */

export class BudgetNews {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.warnings = new Warnings();
  }

  /** Called twice a second: where a period has ended, what was said of it is no longer so. @param {number} [nowMs] */
  tick(nowMs = Date.now()) {
    const { meter, preview, banner } = this.page;
    if (!meter.tick(nowMs)) return;
    if (banner.kind === "budget") banner.hide();
    preview.changed();
  }

  /** @param {any} budget an event budget.changed */
  heard(budget) {
    const { meter, preview, banner, picker, conversation, say } = this.page;
    meter.update(budget);
    preview.changed();
    if (!this.warnings.isNews(budget, conversation.id)) return;
    const text = warningText(budget, Date.now());
    if (budget.level === "100") banner.warn(text, budget.level, "See the budgets", () => meter.open());
    else banner.warn(text, budget.level, "Choose a model", () => picker.open());
    say(text);
  }
}
