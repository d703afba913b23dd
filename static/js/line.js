// @ts-check
// The line to the server: a socket, or plain requests where no socket gets through; and what the page
// says about it.

import { idOf } from "./open_conversation.js";
import { PlainSender } from "./plain.js";
import { ConversationSocket } from "./socket.js";
import { liveGeneration } from "./thread.js";

const BLOCKED_AFTER_ATTEMPTS = 3;
// What a person wants of an answer that is there: sent once, when the line is back if need be.
const WISHES = new Set(["turn.stop", "turn.switch", "turn.schedule"]);
const NOT_QUESTIONS = new Set(["stream.resume", "turn.stop"]);

/**
 * @typedef {object} Page
 * @property {HTMLElement} root @property {() => import("./thread.js").Thread} thread
 * @property {(event: any) => void} dispatch @property {(text: string) => void} say
 * @property {import("./banner.js").Banner} banner
 * @property {() => Promise<void> | null} before what has to be told before anything is asked
 * @property {import("./open_conversation.js").OpenConversation} conversation
 */

export class Line {
  /** @param {Page} page @param {HTMLElement} mark shown in the status bar while there is no connection */
  constructor(page, mark) {
    this.page = page;
    this.mark = mark;
    /** @type {ConversationSocket | null} */
    this.socket = null;
    this.wasConnected = false;
    /** When the next try is due. @type {number | null} */
    this.retryAtMs = null;
    this.plain = new PlainSender({
      id: () => page.conversation.id, dispatch: page.dispatch, hasSocket: () => this.socket?.isOpen ?? false,
    });
    /** Every frame that asks for an answer, by the id that the server will name: a refused one may be sent otherwise. @type {Map<string, any>} */
    this.asked = new Map();
    /** By turn id, the last one. @type {Map<string, any>} */
    this.wishes = new Map();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const url = `${scheme}://${location.host}/ws/conversations/${this.page.conversation.id}/`;
    this.socket = new ConversationSocket(url, { onEvent: this.page.dispatch, onStatus: (status, at) => this.#show(status, at) });
    this.socket.start();
  }

  stop() {
    this.socket?.stop();
  }

  /** Stop, and forget: another conversation takes its place. */
  drop() {
    this.stop();
    this.socket = null;
  }

  /** No socket was ever opened here, though it was tried: something between us does not let them through. */
  get isBlocked() {
    const { socket } = this;
    return socket !== null && !socket.opened && socket.attempt >= BLOCKED_AFTER_ATTEMPTS;
  }

  /** @param {any} frame @returns {boolean} sent now; a question goes as soon as it can */
  ask(frame) {
    const waits = this.page.before();
    if (waits) {
      waits.then(() => this.ask(frame));
      return false;
    }
    if (!NOT_QUESTIONS.has(frame.type)) this.asked.set(idOf(frame), frame);
    const isSent = this.socket?.send(frame) ?? false;
    if (!isSent && !this.isBlocked && WISHES.has(frame.type)) this.wishes.set(frame.turn_id, frame);
    if (!isSent && this.isBlocked && this.plain.takes(frame)) this.plain.send(frame);
    return isSent;
  }

  /** What was on its way when the page was left. */
  resendOutbox() {
    const frame = this.page.conversation.drafts.readOutbox();
    if (frame && this.socket && !this.socket.unanswered.has(idOf(frame))) this.ask(frame);
  }

  /** The server has spoken about this question. @param {string} id */
  settle(id) {
    this.socket?.settle(id);
    this.page.conversation.drafts.clearOutbox(id);
  }

  // --- What the page says ---------------------------------------------------------

  /** Called twice a second: the countdown to the next try. */
  tick() {
    if (this.retryAtMs === null || this.page.banner.kind !== "connection") return;
    const seconds = Math.max(0, Math.ceil((this.retryAtMs - Date.now()) / 1000));
    this.page.banner.note(seconds ? `Next try in ${seconds} s.` : "Trying now.");
  }

  /** @param {import("./socket.js").Status} status @param {number | null} retryAtMs */
  #show(status, retryAtMs = null) {
    const { banner, root } = this.page;
    root.dataset.connection = status;
    this.retryAtMs = retryAtMs;
    if (status === "open") this.#open();
    else if (status === "waiting") this.#waiting();
    else if (status === "refused") {
      this.mark.hidden = false;
      banner.show("You are signed out here. Your text is kept.", "bad", "Sign in", () => location.reload());
    }
  }

  #open() {
    const { banner, say, dispatch } = this.page;
    this.mark.hidden = true;
    if (banner.kind === "connection") banner.hide();
    if (this.wasConnected) say("Connected again");
    this.wasConnected = true;
    for (const frame of this.wishes.values()) this.socket?.send(frame);
    this.wishes.clear();
    dispatch({ type: "local.connected" });
  }

  #waiting() {
    const { banner, say, thread } = this.page;
    const retry = () => this.socket?.retryNow();
    this.mark.hidden = false;
    if (this.isBlocked) {
      banner.show("No live connection here. Answers come by plain requests.", "connection", "Retry now", retry);
      this.#sendPlainly();
      if (this.socket?.attempt === BLOCKED_AFTER_ATTEMPTS) this.#findReason();
      return;
    }
    const queued = thread().turns.at(-1)?.status === "sending" ? " Your question is kept and will be sent." : "";
    banner.show(`Connection lost. Nothing is lost: we keep trying.${queued}`, "connection", "Retry now", retry);
    if (this.wasConnected) say("Connection lost, reconnecting");
    this.wasConnected = false;
    if (this.socket && this.socket.attempt > 1) this.#findReason();
  }

  /** What waits for a socket goes without one; an answer that was being written is followed from where it is. */
  #sendPlainly() {
    for (const frame of [...(this.socket?.unanswered.values() ?? []), ...this.wishes.values()]) {
      if (this.plain.takes(frame)) this.plain.send(frame);
    }
    this.wishes.clear();
    const live = liveGeneration(this.page.thread());
    if (live) this.plain.follow(live);
  }

  /** A handshake is refused without a reason; the page's own address tells it. */
  async #findReason() {
    const { url } = this.page.conversation;
    if (!url) return;
    const response = await fetch(url, { method: "HEAD", redirect: "manual" }).catch(() => null);
    if (response?.type === "opaqueredirect") {
      this.stop();
      this.#show("refused");
    } else if (response?.status === 404) {
      this.stop();
      const text = "This conversation does not exist any more. Your text is kept.";
      this.page.banner.show(text, "bad", "New chat", () => location.assign("/"));
    }
  }
}
