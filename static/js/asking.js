// @ts-check
// Asking: a question, another wording, another version; and what to do when the server refuses one.

import { editQuestion } from "./edit.js";
import { newId } from "./new_id.js";
import { isBusy, liveGeneration } from "./thread.js";

// Nothing that lets this message through now; where a person's limits are, and a higher one is asked for.
const BUSY = "An answer is being written. Stop it or wait for its end.";

/**
 * @typedef {import("./line.js").Page & {
 *   lens: import("./lens.js").Lens, line: import("./line.js").Line, composer: import("./composer.js").Composer,
 *   preview: import("./preview.js").SendPreview, offer: import("./offer.js").Offer,
 *   scroll: import("./scroll.js").StickToBottom, parameters: () => Record<string, any>,
 *   turnElement: (turnId: string) => HTMLElement | null,
 * }} Page
 */

export class Asking {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    /** Which turn a new wording was made from, should it be refused. @type {Map<string, string>} */
    this.editedBy = new Map();
  }

  #clear() {
    const { banner, offer } = this.page;
    // Until the line is back, that is what one has to know.
    if (banner.kind !== "connection") banner.hide();
    offer.hide();
  }

  // --- What the person asks -----------------------------------------------------------

  /** @param {{ text: string, turn_id?: string, [field: string]: any }} order */
  send(order) {
    const { page } = this;
    this.#clear();
    const frame = { type: "turn.create", turn_id: newId(), ...page.parameters(), ...order };
    page.conversation.drafts.writeOutbox(frame);
    // From here on the outbox keeps it: a page loaded before it is accepted must not bring it back as a draft too.
    page.conversation.drafts.write("");
    page.dispatch({ type: "local.send", turn_id: frame.turn_id, text: order.text });
    page.composer.text = "";
    page.preview.changed();
    page.scroll.pin();
    if (page.line.socket) page.line.ask(frame);
    else page.conversation.open().then(() => this.#isWanted(frame.turn_id) && page.line.ask(frame));
  }

  /** @param {string} turnId of a question that may have been taken back meanwhile */
  #isWanted(turnId) {
    return this.page.thread().turns.some(({ id }) => id === turnId);
  }

  /** What is being written, or on its way. @returns {boolean} whether there was something to stop */
  stop() {
    const { thread, dispatch, line } = this.page;
    const waiting = thread().turns.findLast(({ status }) => status === "sending" || status === "retrying");
    if (liveGeneration(thread())) dispatch({ type: "local.stop" });
    else if (waiting?.status === "sending" && line.withdraw(waiting.id)) this.#takeBack(waiting);
    else if (waiting) line.stopWaiting(waiting.id);
    else return false;
    return true;
  }

  /** A question that was never sent: its text goes back to where it was typed. @param {import("./thread.js").Turn} turn */
  #takeBack({ id, text, replaced }) {
    const { composer, dispatch, line, say } = this.page;
    line.settle(id);
    dispatch({ type: "local.withdraw", turn_id: id });
    if (replaced) this.edit(replaced[0], text);
    else {
      composer.replace(composer.text ? `${text}\n${composer.text}` : text);
      composer.field.focus();
    }
    say("Not sent. Your text is back.");
  }

  /** No answer is being written any more. */
  free() {
    this.page.banner.retract(BUSY);
  }

  /** @param {string} kind retry, continue or regenerate @param {string} turnId @param {Record<string, any>} parameters */
  again(kind, turnId, parameters) {
    const { dispatch, thread, scroll } = this.page;
    this.#clear();
    dispatch({ turn_id: turnId, generation_id: newId(), ...parameters, type: `local.${kind}` });
    if (thread().turns.at(-1)?.id === turnId) scroll.pin();
  }

  /**
   * What the person decides while an answer waits.
   * @param {"switch" | "schedule"} kind @param {string} turnId @param {string} [model] @param {boolean} [confirm]
   */
  redirect(kind, turnId, model, confirm) {
    this.#clear();
    this.page.line.ask({ type: `turn.${kind}`, turn_id: turnId, ...(model ? { model } : {}), ...(confirm ? { confirm } : {}) });
  }

  /** Whether another answer may be asked for now; says so where not. */
  mayAsk() {
    const busy = isBusy(this.page.thread());
    if (busy) this.page.banner.show(BUSY, "bad");
    return !busy;
  }

  /** @param {import("./thread.js").Turn} turn @param {string} [text] */
  edit(turn, text = turn.text) {
    const element = this.page.turnElement(turn.id);
    if (!element || !this.mayAsk()) return;
    const { limit, field } = this.page.composer;
    const opener = document.activeElement === field ? field : null;
    editQuestion(element, { text, limit, opener, onSend: (wanted) => this.#resend(turn.id, wanted) });
  }

  /** Ask a question in other words. @param {string} turnId @param {string} text @param {Record<string, any>} [changes] */
  #resend(turnId, text, changes = {}) {
    const { page } = this;
    this.#clear();
    const frame = {
      new_turn_id: newId(), ...page.parameters(), ...changes, type: "turn.edit", turn_id: turnId, text,
    };
    this.editedBy.set(frame.new_turn_id, turnId);
    page.conversation.drafts.writeOutbox(frame);
    page.dispatch({ ...frame, type: "local.edit" });
    page.composer.field.focus();
    page.scroll.pin();
    page.line.ask(frame);
  }

  // --- What the server refuses ----------------------------------------------------------

  /** A question: its text goes back to where it was typed. @param {string} turnId @param {string} text @param {import("./thread.js").Problem} problem */
  refused(turnId, text, problem) {
    const { composer, conversation } = this.page;
    composer.text = composer.text ? `${text}\n${composer.text}` : text;
    conversation.drafts.write(composer.text);
    this.notSent(problem, turnId);
  }

  /** Another wording: its editor opens again. @param {string} turnId @param {string} text @param {import("./thread.js").Problem} problem */
  editRefused(turnId, text, problem) {
    const edited = this.page.thread().turns.find(
      (turn) => turn.siblings?.includes(turnId) || turn.id === this.editedBy.get(turnId),
    );
    this.notSent(problem, turnId, () => edited && this.edit(edited, text));
  }

  /**
   * Say why, and offer what helps.
   * @param {import("./thread.js").Problem} problem @param {string} id of the frame @param {() => void} [giveBack] the text to where it came from
   */
  notSent(problem, id, giveBack = () => {}) {
    const { page } = this;
    const frame = page.line.asked.get(id);
    page.say(problem.detail);
    page.preview.changed();
    if (!frame || !problem.options?.length) {
      page.banner.show(problem.detail, "bad");
      giveBack();
      return;
    }
    const options = [
      ...problem.options,
      ...(frame.type === "turn.edit" && problem.code !== "confirm_required" ? [{ action: "cancel", label: "Keep editing" }] : []),
    ];
    page.offer.show({ ...problem, options }, (option) => {
      page.offer.hide();
      page.composer.field.focus();
      if (option.action === "cancel") giveBack();
      else this.#choose(option, frame);
    }, () => this.#reset(giveBack));
  }

  /** @param {import("./offer.js").Option} option @param {any} frame */
  #choose(option, frame) {
    if ((option.action === "ask_more" || option.action === "own_limit") && option.url) location.assign(option.url);
    else if (option.action === "new_conversation") this.page.conversation.leave(this.page.composer.text || frame.text || "");
    else if (option.action === "model" && option.model) this.#askOtherwise(frame, { model: option.model });
    else if (option.action === "shorter_answer") {
      // It fills the budget, and that is what was chosen: no further question.
      this.#askOtherwise(frame, { max_output_tokens: option.max_output_tokens, confirm: true });
    } else if (option.action === "without_history") this.#askOtherwise(frame, { history: false });
    else if (option.action === "summarise") this.#summarise(option, frame);
    else if (option.action === "confirm") this.#askOtherwise(frame, { confirm: true });
  }

  /** First the summary, then the same question again. @param {import("./offer.js").Option} option @param {any} frame */
  async #summarise(option, frame) {
    if (await this.page.lens.summarise(option.summary_model)) this.#askOtherwise(frame, {});
  }

  /** The budget is open again. @param {() => void} giveBack */
  #reset(giveBack) {
    const { offer, banner, say, preview } = this.page;
    offer.hide();
    giveBack();
    banner.show("The budget has been reset. You can send again.", "good");
    say("The budget has been reset");
    preview.changed();
  }

  /** The same once more, with something changed; nothing of the refused one was kept. @param {any} frame @param {Record<string, any>} changes */
  #askOtherwise(frame, changes) {
    const { type, ...fields } = { ...frame, ...changes };
    const { composer } = this.page;
    if (type === "turn.create") {
      // What has been typed since belongs to it; another text is another question.
      const text = composer.text.trim() ? composer.text : fields.text;
      this.send({ ...fields, text, turn_id: text === frame.text ? fields.turn_id : newId() });
    } else if (type === "turn.switch") this.redirect("switch", fields.turn_id, fields.model, fields.confirm);
    else if (type === "turn.edit") this.#resend(fields.turn_id, fields.text, fields);
    else this.again(changes.model ? "regenerate" : type.slice("turn.".length), fields.turn_id, fields);
  }
}
