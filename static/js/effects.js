// @ts-check
// What the page has to carry out when the thread has changed.

import { isCut, liveGeneration, shownText } from "./thread.js";
import { setting } from "./settings.js";
import { markDone } from "./title.js";

/**
 * @typedef {import("./line.js").Page & {
 *   announcer: import("./announcer.js").Announcer, asking: import("./asking.js").Asking,
 *   budgets: import("./budget_news.js").BudgetNews, catchUp: import("./catch_up.js").CatchUp,
 *   composer: import("./composer.js").Composer,
 *   exports: import("./exports.js").Exports,
 *   lens: import("./lens.js").Lens, line: import("./line.js").Line, meter: import("./meter.js").Meter,
 *   outline: import("./outline.js").Outline,
 *   rail: import("./rail.js").Rail, temporary: import("./temporary.js").TemporarySwitch,
 *   title: import("./title.js").Title, versions: import("./versions.js").Versions,
 * }} Page
 */

export class Effects {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
  }

  /** @param {import("./thread.js").Effect} effect */
  carryOut(effect) {
    const { asking, budgets, catchUp, line, outline, say, thread, versions } = this.page;
    if (effect.do === "send") line.ask(effect.frame);
    else if (effect.do === "accepted") this.#accepted(effect.turnId);
    else if (effect.do === "refused") {
      line.settle(effect.turnId);
      asking.refused(effect.turnId, effect.text, effect.problem);
    } else if (effect.do === "edit-refused") {
      line.settle(effect.turnId);
      asking.editRefused(effect.turnId, effect.text, effect.problem);
    } else if (effect.do === "problem") {
      if (effect.turnId) line.settle(effect.turnId);
      asking.notSent(effect.problem, effect.turnId ?? "");
    } else if (effect.do === "load-turn") versions.load(effect.turnId, effect.isNews);
    else if (effect.do === "catch-up") catchUp.load();
    else if (effect.do === "compare") outline.compare(effect.revision);
    else if (effect.do === "listed") this.#listed(effect.conversation);
    else if (effect.do === "learned") this.#learned(effect.generationIds);
    else if (effect.do === "branch") {
      if (!versions.switching && thread().turns.at(-1)?.id !== effect.headTurnId) location.reload();
    } else if (effect.do === "finished") this.#finished(effect.generationId);
    else if (effect.do === "budget") budgets.heard(effect.budget);
    else if (effect.do === "rail") this.#railChanged(effect.event);
    else if (effect.do === "say") say(effect.text);
    else if (effect.do === "reload") location.reload();
  }

  /** @param {string} turnId */
  #accepted(turnId) {
    const { composer, conversation, exports, lens, line, rail, say, temporary } = this.page;
    line.settle(turnId);
    lens.offer.settle();
    // What was typed since is a new draft.
    conversation.drafts.write(composer.text);
    if (conversation.id !== location.pathname.split("/")[2]) {
      history.replaceState(null, "", conversation.url || location.href);
      temporary.settle();
    }
    exports.show();
    rail.touch(conversation.id);
    say("AI is thinking");
  }

  /** @param {string} generationId */
  #finished(generationId) {
    const { announcer, meter, say, thread } = this.page;
    const generation = thread().generations[generationId];
    if (generation.receipt) meter.addReceipt(generation.receipt);
    const text = shownText(generation);
    const words = text.split(/\s+/).filter(Boolean).length;
    if (generation.state === "completed") {
      const end = isCut(generation) ? "Cut at the length limit" : "Response complete";
      announcer.ended(generationId, text, `${end}, ${words} words`);
    } else if (generation.state === "stopped") say("Stopped. What came is kept.");
    else announcer.alert(generation.error?.detail ?? "The answer was interrupted.");
    markDone();
  }

  /** What was answered elsewhere. @param {string[]} generationIds */
  #learned(generationIds) {
    const { meter, say, thread } = this.page;
    for (const id of generationIds) {
      const { receipt } = thread().generations[id];
      if (receipt) meter.addReceipt(receipt);
    }
    say(generationIds.length > 1 ? `${generationIds.length} answers were added` : "An answer was added");
  }

  /** Text has been shown. */
  shown() {
    const writing = setting("readSentences") ? liveGeneration(this.page.thread()) : null;
    if (writing) this.page.announcer.grown(writing.id, shownText(writing));
  }

  /** @param {any} event conversation.updated */
  #railChanged(event) {
    const { conversation, meter, rail, title } = this.page;
    const isHere = event.conversation_id === conversation.id;
    // A title that a model made has a price, also where it was not used.
    if (event.receipt && isHere) meter.addReceipt(event.receipt);
    if (event.change === "title" && !event.title) return;
    // A temporary chat has no row.
    if (!isHere || !conversation.isTemporary) rail.follow(event);
    else if (event.change === "title") title.show(event.title);
    else if (event.change === "deleted") this.gone();
  }

  /** What was told of it may have got lost. @param {import("./thread.js").InList} told */
  #listed(told) {
    const { conversation, rail, title } = this.page;
    if (told.title && told.title !== title.text) title.show(told.title);
    if (!conversation.isTemporary) rail.compare(conversation.id, told);
  }

  /** The conversation was deleted. */
  gone() {
    const { banner, composer, conversation, line } = this.page;
    line.stop();
    if (!composer.text && !document.hidden && !conversation.isTemporary) location.assign("/");
    else conversation.lose(banner, () => composer.text);
  }
}
