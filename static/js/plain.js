// @ts-check
// Where no socket can be opened: the same questions as plain requests, the same events as their answers.

import { request, conversationUrl, csrfToken } from "./server.js";

const TRIES = 5;
const PAUSE_MS = 1000;
const VERSIONS = new Set(["turn.retry", "turn.continue", "turn.regenerate"]);

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
  /** @param {{ id: () => string, dispatch: (event: any) => void }} page */
  constructor(page) {
    this.page = page;
    /** Questions on their way, by id. @type {Set<string>} */
    this.running = new Set();
  }

  /** Whether a frame of this kind can go without a socket. @param {any} frame */
  takes(frame) {
    return frame.type === "turn.create" || frame.type === "turn.stop" || VERSIONS.has(frame.type);
  }

  /** @param {any} frame */
  async send(frame) {
    const key = `${frame.turn_id}:${frame.generation_id ?? ""}`;
    if (frame.type === "turn.stop") {
      await request("POST", `/api/v1/turns/${frame.turn_id}/stop/`).catch(() => {});
      return;
    }
    if (this.running.has(key)) return;
    this.running.add(key);
    let seq = 0;
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      if (attempt) await new Promise((done) => setTimeout(done, PAUSE_MS * attempt));
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
    const response = await fetch(url, {
      method: "POST",
      headers: {
        Accept: "text/event-stream", "Content-Type": "application/json", "X-CSRFToken": csrfToken(),
        ...(after ? { "Last-Event-ID": String(after) } : {}),
      },
      body: JSON.stringify(isQuestion ? { ...fields, turn_id } : fields),
    });
    if (!response.ok || !response.body) {
      const problem = await response.json().catch(() => ({}));
      if (response.status >= 500) return false;
      onEvent({ code: "error", detail: "The question could not be sent.", ...problem, type: "turn.refused", turn_id });
      return true;
    }
    let [rest, ended] = ["", false];
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
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
