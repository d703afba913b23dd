// @ts-check
// Where no socket can be opened: the same questions as plain requests, the same events as their answers.

import { request, conversationUrl, csrfToken } from "./server.js";

const PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 8_000;
// The server says every 15 s that it is still there.
const SILENT_MS = 45_000;
const VERSIONS = new Set(["turn.retry", "turn.continue", "turn.regenerate", "turn.switch", "turn.edit"]);
// What is done at once, and whose effect the running answer tells.
const WISHES = new Set(["turn.stop", "turn.schedule"]);

/** The events in a text of server-sent events, and the rest that is not whole yet. @param {string} text */
export function splitEvents(text) {
  const blocks = text.split("\n\n");
  const rest = blocks.pop() ?? "";
  const events = blocks.flatMap((block) => {
    const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
    return data.length ? [JSON.parse(data.join("\n"))] : [];
  });
  return { events, rest };
}

export class PlainSender {
  /** @param {{ id: () => string, dispatch: (event: any) => void, hasSocket: () => boolean }} page */
  constructor(page) {
    this.page = page;
    /** Questions on their way, by id. @type {Set<string>} */
    this.running = new Set();
  }

  /** Whether a frame of this kind can go without a socket. @param {any} frame */
  takes(frame) {
    return frame.type === "turn.create" || WISHES.has(frame.type) || VERSIONS.has(frame.type);
  }

  /**
   * The rest of an answer that is being written: its id, sent again, asks nothing twice.
   * @param {{ id: string, turnId: string, seq: number }} generation
   */
  follow({ id, turnId, seq }) {
    const isFollowed = [...this.running].some((key) => key.startsWith(`${turnId}:`));
    if (!isFollowed) this.send({ type: "turn.retry", turn_id: turnId, generation_id: id }, seq);
  }

  /** @param {any} frame @param {number} [after] the last delta that is known */
  async send(frame, after = 0) {
    const key = `${frame.turn_id}:${frame.generation_id ?? frame.new_turn_id ?? frame.model ?? ""}`;
    if (WISHES.has(frame.type)) {
      const verb = frame.type.slice("turn.".length);
      await request("POST", `/api/v1/turns/${frame.turn_id}/${verb}/`).catch((error) => {
        this.page.dispatch({ code: "error", detail: error.message, type: "turn.refused", turn_id: frame.turn_id });
      });
      return;
    }
    if (this.running.has(key)) return;
    this.running.add(key);
    let seq = after;
    // Until its end was told, or a socket has come up after all and tells it.
    for (let attempt = 0; !this.page.hasSocket(); attempt += 1) {
      if (attempt) await new Promise((done) => setTimeout(done, Math.min(PAUSE_MS * attempt, LONGEST_PAUSE_MS)));
      // Sent again, the same id gives the same answer, from where it was lost.
      const done = await this.#post(frame, seq, (event) => {
        if (event.type === "delta") seq = event.seq;
        this.page.dispatch(event);
      }).catch(() => false);
      if (done) break;
    }
    this.running.delete(key);
  }

  /** @param {any} frame @param {number} after @param {(event: any) => void} onEvent @returns {Promise<boolean>} whether the end was told */
  async #post(frame, after, onEvent) {
    const { type, turn_id, ...fields } = frame;
    const isQuestion = type === "turn.create";
    const url = isQuestion
      ? `${conversationUrl(this.page.id())}messages/?html=true`
      : `/api/v1/turns/${turn_id}/${type.slice("turn.".length)}/?html=true`;
    const ending = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => ending.abort(), SILENT_MS);
    };
    heard();
    return this.#read(await fetch(url, {
      signal: ending.signal,
      method: "POST",
      headers: {
        Accept: "text/event-stream", "Content-Type": "application/json", "X-CSRFToken": csrfToken(),
        ...(after ? { "Last-Event-ID": String(after) } : {}),
      },
      body: JSON.stringify(isQuestion ? { ...fields, turn_id } : fields),
    }), fields.new_turn_id ?? turn_id, onEvent, heard).finally(() => clearTimeout(timer));
  }

  /** @param {Response} response @param {string} turnId @param {(event: any) => void} onEvent @param {() => void} heard @returns {Promise<boolean>} */
  async #read(response, turnId, onEvent, heard) {
    if (!response.ok || !response.body) {
      const problem = await response.json().catch(() => ({}));
      if (response.status >= 500) return false;
      onEvent({ code: "error", detail: "The question could not be sent.", ...problem, type: "turn.refused", turn_id: turnId });
      return true;
    }
    let [rest, ended] = ["", false];
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      heard();
      const found = splitEvents(rest + piece.value);
      rest = found.rest;
      for (const event of found.events) {
        ended ||= /^generation\.(completed|stopped|interrupted|failed)$/.test(event.type);
        onEvent(event);
      }
    }
    return ended;
  }
}
