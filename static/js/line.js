// @ts-check
// The line to the server: a socket, or plain requests where no socket gets through; and what the page
// says about it.

import { idOf } from "./open_conversation.js";
import { PlainSender } from "./plain.js";
import { ConversationSocket } from "./socket.js";
import { liveGeneration } from "./thread.js";

const BLOCKED_AFTER_ATTEMPTS = 3;
const REASON_TIMEOUT_MS = 10_000;
// A line that was there may be back before anybody has read that it was lost.
const BLIP_MS = 1_000;
// What a person wants of an answer that is there: sent once, when the line is back if need be.
const WISHES = new Set(["turn.stop", "turn.switch", "turn.schedule"]);
const NOT_QUESTIONS = new Set(["stream.resume", "turn.stop"]);

/** A browser that says it is online may be wrong; one that says it is not, hardly ever. */
const isOffline = () => globalThis.navigator?.onLine === false;

/**
 * @typedef {object} Page
 * @property {HTMLElement} root @property {() => import("./thread.js").Thread} thread
 * @property {(event: any) => void} dispatch @property {(text: string) => void} say
 * @property {import("./banner.js").Banner} banner
 * @property {() => Promise<void> | null} before what has to be told before anything is asked
 * @property {import("./open_conversation.js").OpenConversation} conversation
 * @property {() => string} typed what stands in the composer
 */

export class Line {
  /** @param {Page} page @param {HTMLElement} mark shown in the status bar while there is no connection */
  constructor(page, mark) {
    this.page = page;
    this.mark = mark;
    /** @type {ConversationSocket | null} */
    this.socket = null;
    this.wasConnected = false;
    /** The person was told that the line is lost. */
    this.isToldLost = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.blip = undefined;
    this.isRefused = false;
    this.isAsking = false;
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
    this.#endBlip();
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
    return socket !== null && !socket.opened && socket.failures >= BLOCKED_AFTER_ATTEMPTS;
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

  /** @param {string} id of a question @returns {boolean} it was not sent yet, and will not be */
  withdraw(id) {
    return !this.isBlocked && (this.socket?.withdraw(id) ?? true);
  }

  /** Stop what the server may not have heard of: said again if the line is lost before it has. @param {string} turnId */
  stopWaiting(turnId) {
    const frame = { type: "turn.stop", turn_id: turnId };
    this.ask(frame);
    if (!this.isBlocked) this.wishes.set(turnId, frame);
  }

  /** What was on its way when the page was left. */
  resendOutbox() {
    const frame = this.page.conversation.drafts.readOutbox();
    if (frame && this.socket && !this.socket.unanswered.has(idOf(frame))) this.ask(frame);
  }

  /** The server has spoken about this question. @param {string} id */
  settle(id) {
    this.socket?.settle(id);
    this.wishes.delete(id);
    this.page.conversation.drafts.clearOutbox(id);
  }

  // --- What the page says ---------------------------------------------------------

  /** Called twice a second: the countdown to the next try. */
  tick() {
    const { banner, root } = this.page;
    if (banner.kind !== "connection") return;
    if (root.dataset.connection !== "open") banner.reword(this.#words());
    const seconds = this.retryAtMs === null ? 0 : Math.ceil((this.retryAtMs - Date.now()) / 1000);
    banner.note(seconds > 0 ? `Next try in ${seconds} s.` : "Trying now.");
  }

  /** A word is typed: whoever writes wants to send. */
  nudge() {
    this.socket?.nudge();
  }

  /** @param {import("./socket.js").Status} status @param {number | null} retryAtMs */
  #show(status, retryAtMs = null) {
    const { banner, root } = this.page;
    root.dataset.connection = status;
    this.retryAtMs = retryAtMs;
    if (status === "open") this.#open();
    else if (status === "waiting") this.#waiting();
    else if (status === "connecting") this.tick();
    else if (status === "refused") {
      this.#endBlip();
      this.isRefused = true;
      this.#mark("Signed out");
      banner.show("You are signed out here. Your text is kept.", "bad", "Sign in", () => location.reload());
    }
  }

  #open() {
    const { banner, root, say, dispatch } = this.page;
    this.#endBlip();
    this.mark.hidden = true;
    delete root.dataset.lost;
    if (this.isRefused) banner.hide();
    this.isRefused = false;
    if (banner.kind === "connection") banner.hide();
    if (this.isToldLost && this.wasConnected) say("Connected again");
    this.isToldLost = false;
    this.wasConnected = true;
    for (const frame of this.wishes.values()) this.socket?.send(frame);
    this.wishes.clear();
    dispatch({ type: "local.connected" });
  }

  #waiting() {
    const failures = this.socket?.failures ?? 0;
    if (this.isRefused) {
      this.#findReason(); // tried once more, because somebody looked
      return;
    }
    if (this.isToldLost || !this.wasConnected || isOffline()) this.#tellLost();
    else this.blip ??= setTimeout(() => this.#tellLost(), BLIP_MS);
    if (this.isBlocked) this.#sendPlainly();
    if (failures > 1) this.#findReason();
  }

  #tellLost() {
    const { banner, root, say } = this.page;
    this.#endBlip();
    this.#mark(isOffline() ? "Offline" : "Reconnecting");
    root.dataset.lost = "true";
    banner.show(this.#words(), "connection", "Retry now", () => this.socket?.retryNow());
    this.tick();
    if (this.wasConnected && !this.isToldLost) say("Connection lost, reconnecting");
    this.isToldLost = true;
  }

  /** @param {string} word */
  #mark(word) {
    const words = this.mark.querySelector("span");
    if (words) words.textContent = word;
    this.mark.hidden = false;
  }

  #endBlip() {
    clearTimeout(this.blip);
    this.blip = undefined;
  }

  /** Of the banner. */
  #words() {
    if (this.isBlocked && !isOffline()) return "No live connection here. Answers come by plain requests.";
    const last = this.page.thread().turns.at(-1);
    const kept = this.wishes.get(last?.id ?? "")?.type === "turn.stop" ? "It will be stopped then." : "Your question is kept and will be sent.";
    const queued = last?.status === "sending" ? ` ${kept}` : "";
    if (isOffline()) return `You are offline. Nothing is lost: we connect as soon as the network is back.${queued}`;
    return `Connection lost. Nothing is lost: we keep trying.${queued}`;
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
    if (!url || this.isAsking) return;
    this.isAsking = true;
    const signal = AbortSignal.timeout(REASON_TIMEOUT_MS);
    const response = await fetch(url, { method: "HEAD", redirect: "manual", signal }).catch(() => null);
    this.isAsking = false;
    if (response?.type === "opaqueredirect") {
      this.stop();
      this.#show("refused");
    } else if (response?.status === 404) {
      this.stop();
      this.page.conversation.lose(this.page.banner, this.page.typed);
    }
  }
}
