// @ts-check
// The connection of one conversation: reconnects with back-off and jitter, notices a dead line by
// heartbeat, and keeps questions that were not yet accepted so that each is sent until it is answered.
// Whatever may have brought the line back (the network, a look at the page, a word typed) ends a wait at once.
// Sending one twice is harmless: the server knows a turn by the id that the page minted.

const HEARTBEAT_MS = 20_000;
const PONG_TIMEOUT_MS = 10_000;
// The machine itself says that its network is gone: it may be wrong, so the line is asked, but not for long.
const OFFLINE_PONG_MS = 1_500;
// Somebody is there and waits for the answer.
const PROMPT_PONG_MS = 5_000;
// A handshake that nobody answers: browsers give it up after minutes.
const CONNECT_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_LIMIT_MS = 30_000;
// An attempt that is older may have been begun on a network that is gone.
const STALE_ATTEMPT_MS = 2_000;
// What is typed tries again at most so often.
const NUDGE_MS = 3_000;
// A page that is shown again asks a line that was silent for longer at once.
const SILENT_MS = 5_000;
// The server could not take a question just now: it is sent again by itself.
const UNAVAILABLE_MS = 2_000;
const BACKOFF_BASE_MS = 500;
const BACKOFF_LIMIT_MS = 8_000;
const ASKING = new Set(["turn.create", "turn.retry", "turn.continue", "turn.regenerate", "turn.edit"]);
const NOT_ALLOWED = new Set([4401, 4403, 4404]);

/** How long to wait before attempt `attempt` (0, 1, …): half fixed, half random. @param {number} attempt
 * @param {() => number} [random] */
export function backoffMs(attempt, random = Math.random) {
  const ceiling = Math.min(BACKOFF_LIMIT_MS, BACKOFF_BASE_MS * 2 ** attempt);
  return ceiling / 2 + (random() * ceiling) / 2;
}

/** How long a handshake may take after `failures` that were lost: longer each time, for a server under load. @param {number} failures */
export const connectTimeoutMs = (failures) => Math.min(CONNECT_TIMEOUT_LIMIT_MS, CONNECT_TIMEOUT_MS * (1 + failures));

/**
 * @typedef {"connecting" | "open" | "waiting" | "refused"} Status
 * @typedef {object} Handlers
 * @property {(event: any) => void} onEvent
 * @property {(status: Status, retryAtMs: number | null) => void} onStatus
 */

export class ConversationSocket {
  /** @param {string} url @param {Handlers} handlers */
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** How often the wait has doubled. */
    this.attempt = 0;
    /** Attempts that were lost since the line was last open. */
    this.failures = 0;
    this.triedAtMs = 0;
    this.opened = false;
    this.closed = false;
    /** Questions without an answer to them, by turn id, in order. @type {Map<string, object>} */
    this.unanswered = new Map();
    /** Of them, those that the server may have. @type {Set<string>} */
    this.given = new Set();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.heartbeat = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.again = undefined;
    /** When the line last spoke. */
    this.heardAtMs = 0;
    /** By when it has to speak, where it was asked; 0: it was not. */
    this.dueAtMs = 0;
    this.onNetwork = () => {
      if (this.isOpen) this.#ask(PROMPT_PONG_MS);
      else this.retryNow(0);
    };
    this.onOffline = () => {
      if (this.isOpen) this.#ask(OFFLINE_PONG_MS);
    };
    this.onShown = () => {
      if (!globalThis.document?.hidden) this.wake();
    };
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  start() {
    globalThis.addEventListener?.("online", this.onNetwork);
    globalThis.addEventListener?.("offline", this.onOffline);
    globalThis.addEventListener?.("pageshow", this.onShown);
    globalThis.addEventListener?.("focus", this.onShown);
    globalThis.document?.addEventListener("visibilitychange", this.onShown);
    this.#connect();
  }

  stop() {
    this.closed = true;
    globalThis.removeEventListener?.("online", this.onNetwork);
    globalThis.removeEventListener?.("offline", this.onOffline);
    globalThis.removeEventListener?.("pageshow", this.onShown);
    globalThis.removeEventListener?.("focus", this.onShown);
    globalThis.document?.removeEventListener("visibilitychange", this.onShown);
    clearTimeout(this.timer);
    clearTimeout(this.again);
    clearTimeout(this.heartbeat);
    this.socket?.close(1000);
  }

  /** As if the line had been lost just now, unless an attempt is under way for less than `staleMs`. */
  retryNow(staleMs = STALE_ATTEMPT_MS) {
    if (this.closed || this.isOpen) return;
    this.attempt = 0;
    if (!this.socket || Date.now() - this.triedAtMs >= staleMs) this.#connect();
  }

  /** The person does something that needs the line: a long wait is over. */
  nudge() {
    if (this.closed || this.socket || !this.timer || Date.now() - this.triedAtMs < NUDGE_MS) return;
    this.#connect();
  }

  /** Somebody looks at the page again: timers may have slept, and the line may have died unnoticed. */
  wake() {
    if (!this.isOpen) this.retryNow();
    else if (Date.now() - this.heardAtMs > SILENT_MS) this.#ask(PROMPT_PONG_MS);
  }

  /** Sent now or, for questions, as soon as the line is back. @param {any} frame @returns {boolean} sent now */
  send(frame) {
    if (ASKING.has(frame.type)) this.unanswered.set(frame.new_turn_id ?? frame.turn_id, frame);
    if (!this.isOpen) {
      this.nudge();
      return false;
    }
    // A line that was silent for long may be dead.
    if (ASKING.has(frame.type) && Date.now() - this.heardAtMs > SILENT_MS) this.#ask();
    this.#give(frame);
    return true;
  }

  /** @param {any} frame */
  #give(frame) {
    if (ASKING.has(frame.type)) this.given.add(frame.new_turn_id ?? frame.turn_id);
    this.socket?.send(JSON.stringify(frame));
  }

  /** @param {string} turnId @returns {boolean} the question was not sent yet, and will not be */
  withdraw(turnId) {
    if (this.given.has(turnId)) return false;
    this.unanswered.delete(turnId);
    return true;
  }

  /** The server has spoken about this question: it need not be sent again. @param {string} turnId */
  settle(turnId) {
    this.unanswered.delete(turnId);
    this.given.delete(turnId);
  }

  #sendUnanswered() {
    if (!this.isOpen) return; // it is done when the line is back
    for (const frame of this.unanswered.values()) this.#give(frame);
  }

  #connect() {
    const before = this.socket;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    before?.close();
    clearTimeout(this.timer);
    this.timer = undefined;
    this.triedAtMs = Date.now();
    clearTimeout(this.heartbeat);
    this.heartbeat = setTimeout(() => this.#giveUp(), connectTimeoutMs(this.failures));
    this.handlers.onStatus("connecting", null);
    socket.onopen = () => {
      if (socket !== this.socket) return;
      this.attempt = 0;
      this.failures = 0;
      this.opened = true;
      // First the questions: what is wished for them comes after.
      this.#sendUnanswered();
      this.handlers.onStatus("open", null);
      this.#beat();
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      this.#beat();
      const event = JSON.parse(data);
      if (event.type === "error" && event.code === "unavailable") {
        clearTimeout(this.again);
        this.again = setTimeout(() => this.#sendUnanswered(), UNAVAILABLE_MS);
      }
      if (event.type !== "pong") this.handlers.onEvent(event);
    };
    socket.onclose = ({ code }) => {
      if (socket === this.socket) this.#lost(code);
    };
  }

  /** @param {number} code */
  #lost(code) {
    clearTimeout(this.heartbeat);
    this.socket = null;
    if (this.closed) return;
    if (NOT_ALLOWED.has(code)) {
      this.handlers.onStatus("refused", null);
      return;
    }
    const wait = backoffMs(this.attempt);
    this.attempt += 1;
    this.failures += 1;
    this.handlers.onStatus("waiting", Date.now() + wait);
    this.timer = setTimeout(() => this.#connect(), wait);
  }

  /** Any message shows that the line is alive; silence is asked about, then ended. */
  #beat() {
    this.heardAtMs = Date.now();
    this.dueAtMs = 0;
    clearTimeout(this.heartbeat);
    this.heartbeat = setTimeout(() => this.#ask(), HEARTBEAT_MS);
  }

  #ask(timeoutMs = PONG_TIMEOUT_MS) {
    const dueAtMs = Date.now() + timeoutMs;
    if (this.dueAtMs && this.dueAtMs <= dueAtMs) return;
    this.dueAtMs = dueAtMs;
    clearTimeout(this.heartbeat);
    this.send({ type: "ping" });
    this.heartbeat = setTimeout(() => this.#giveUp(), timeoutMs);
  }

  #giveUp() {
    const dead = this.socket;
    this.#lost(1006);
    dead?.close();
  }
}
