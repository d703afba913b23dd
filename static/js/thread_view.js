// @ts-check
// The thread on the page: makes the elements of new turns from the page's template and brings each
// generation's element to its state.

import { field, icon } from "./elements.js";
import { showVerdict } from "./feedback.js";
import { receiptLine } from "./format.js";
import { modelLabel } from "./picker.js";
import { receiptRows } from "./receipt.js";
import { enhance } from "./enhance.js";
import { fragment, sanitise } from "./sanitise.js";
import { StreamView } from "./stream_view.js";
import { isCut, isLive, shownText } from "./thread.js";
import { labelOf, showContinue, showNotes, showWait } from "./wait_view.js";
import { isBrief, waitTitle } from "./wait_words.js";

const WAIT_WORDS_AFTER_MS = 2000;
const ENDED = {
  completed: { word: "Response complete", icon: "check" },
  stopped: { word: "Stopped", icon: "square" },
  interrupted: { word: "Interrupted", icon: "alert" },
  failed: { word: "No answer", icon: "alert" },
};
const CUT = { word: "Cut at the length limit", icon: "square" };
export class ThreadView {
  /**
   * @param {HTMLElement} root @param {HTMLTemplateElement} template
   * @param {{ onFlush: () => void, onAction: (action: string, turnId: string, button: HTMLElement) => void }} callbacks
   */
  constructor(root, template, { onFlush, onAction }) {
    this.root = root;
    this.template = template;
    this.onFlush = onFlush;
    /** @type {Map<string, HTMLElement>} */
    this.elements = new Map();
    /** @type {Map<string, { stream: StreamView, epoch: number, length: number }>} */
    this.streams = new Map();
    /** When the page first showed that it thinks. @type {Map<string, number>} */
    this.thinkingSince = new Map();
    /** @type {import("./thread.js").Thread} */
    this.shown = { turns: [], generations: {} };
    for (const element of root.querySelectorAll("[data-turn-id]")) {
      if (element instanceof HTMLElement) this.elements.set(element.dataset.turnId ?? "", element);
    }
    root.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("[data-action]") : null;
      const turn = button?.closest("[data-turn-id]");
      if (button instanceof HTMLElement && turn instanceof HTMLElement) {
        // Without a script they send a form.
        event.preventDefault();
        if (button.getAttribute("aria-disabled") === "true") return;
        onAction(button.dataset.action ?? "", turn.dataset.turnId ?? "", button);
      }
    });
  }

  /** What the server rendered is the starting point. @param {import("./thread.js").Thread} thread */
  adopt(thread) {
    this.shown = thread;
    for (const generation of Object.values(thread.generations)) {
      if (!isLive(generation.state)) continue;
      const element = this.elements.get(generation.turnId);
      if (!element) continue;
      field(element, "prose").removeAttribute("data-raw");
      this.#stream(element, generation);
      this.#state(element, generation);
    }
  }

  /** @param {import("./thread.js").Thread} thread */
  update(thread) {
    if (thread.turns !== this.shown.turns) {
      const now = new Set(thread.turns.map((turn) => turn.id));
      for (const { id } of this.shown.turns) if (!now.has(id)) this.#remove(id);
      const before = new Set(this.shown.turns);
      for (const turn of thread.turns) if (!before.has(turn)) this.#turn(turn);
      this.#order(thread.turns);
    }
    if (thread.generations !== this.shown.generations) {
      for (const generation of Object.values(thread.generations)) {
        if (generation !== this.shown.generations[generation.id]) {
          this.#generation(generation, this.shown.generations[generation.id]);
        }
      }
    }
    this.shown = thread;
  }

  /** Words that change with time: called once a second while an answer is awaited. */
  tick() {
    for (const generation of Object.values(this.shown.generations)) {
      const element = isLive(generation.state) && generation.seq === 0 && this.elements.get(generation.turnId);
      if (element) this.#thinking(element, generation);
    }
  }

  /** It may come back, when another wording is refused. @param {string} turnId */
  #remove(turnId) {
    this.elements.get(turnId)?.remove();
  }

  /** @param {import("./thread.js").Turn[]} turns */
  #order(turns) {
    let place = this.root.firstElementChild;
    for (const { id } of turns) {
      const element = /** @type {HTMLElement} */ (this.elements.get(id));
      if (element === place) place = element.nextElementSibling;
      else this.root.insertBefore(element, place);
    }
  }

  /** @param {import("./thread.js").Turn} turn */
  #turn(turn) {
    let element = this.elements.get(turn.id);
    if (!element) {
      const copy = /** @type {DocumentFragment} */ (this.template.content.cloneNode(true));
      element = /** @type {HTMLElement} */ (copy.firstElementChild);
      element.dataset.turnId = turn.id;
      element.id = `turn-${turn.id}`;
      field(element, "question").textContent = turn.text;
      this.elements.set(turn.id, element);
      this.thinkingSince.set(turn.id, Date.now());
    }
    switcher(element, "version", turn.versions ?? [], turn.generationId);
    switcher(element, "wording", turn.siblings ?? [], turn.id);
    if (element.dataset.status === turn.status) return;
    element.dataset.status = turn.status;
    // Its text is in the composer again, and the reason stands above it.
    element.hidden = turn.status === "refused";
  }

  /** @param {import("./thread.js").Generation} generation an ended one, as the server has rendered it */
  #settled(generation) {
    const element = this.elements.get(generation.turnId);
    if (!element) return;
    const answer = /** @type {HTMLElement} */ (element.querySelector(".answer"));
    answer.dataset.generationId = generation.id;
    showVerdict(answer, generation.verdict);
    element.classList.add("settled");
    const prose = field(element, "prose");
    prose.replaceChildren(fragment(sanitise(generation.html)));
    enhance(prose.childNodes);
    this.#state(element, generation);
  }

  /** @param {import("./thread.js").Generation} now @param {import("./thread.js").Generation | undefined} before */
  #generation(now, before) {
    const element = this.elements.get(now.turnId);
    if (!element) return;
    if (!isLive(now.state) && !now.text && !(before && isLive(before.state))) {
      this.#settled(now);
      return;
    }
    const answer = /** @type {HTMLElement} */ (element.querySelector(".answer"));
    if (answer.dataset.generationId !== now.id) {
      answer.dataset.generationId = now.id;
      this.thinkingSince.set(now.turnId, Date.now());
      field(element, "prose").replaceChildren();
      showVerdict(answer, now.verdict);
      element.classList.remove("settled");
    }
    const live = this.#stream(element, now);
    const text = shownText(now);
    if (isLive(now.state)) {
      if (live.epoch !== now.epoch || text.length < live.length) live.stream.reset(text);
      else if (text.length > live.length) live.stream.push(text.slice(live.length));
      // The first words take the place of those that say that they are awaited: in the same frame.
      if (!live.length) live.stream.flush();
      live.epoch = now.epoch;
      live.length = text.length;
    } else if (!before || isLive(before.state)) {
      // The server's HTML is that of this part alone.
      live.stream.finish(text, now.prefix ? "" : now.html);
      this.streams.delete(now.id);
      this.onFlush();
    }
    const onlyText = before && before.state === now.state && before.seq > 0 && before.stopping === now.stopping;
    if (!onlyText || !isLive(now.state)) this.#state(element, now);
  }

  /** @param {HTMLElement} element @param {import("./thread.js").Generation} generation */
  #stream(element, generation) {
    let live = this.streams.get(generation.id);
    if (!live) {
      const stream = new StreamView(field(element, "prose"), { onFlush: this.onFlush });
      const text = shownText(generation);
      stream.reset(text);
      live = { stream, epoch: generation.epoch, length: text.length };
      this.streams.set(generation.id, live);
    }
    return live;
  }

  /** Everything around the text. @param {HTMLElement} element @param {import("./thread.js").Generation} generation */
  #state(element, generation) {
    const answer = /** @type {HTMLElement} */ (element.querySelector(".answer"));
    const live = isLive(generation.state);
    answer.dataset.state = generation.state;
    answer.dataset.seq = String(generation.seq);
    answer.setAttribute("aria-busy", String(live));
    // What continues another one has its words above it: it thinks where it will go on.
    field(element, "writing").hidden = !live || generation.state === "waiting" || (generation.seq === 0 && !generation.prefix);
    field(element, "writing").textContent = generation.stopping ? "Stopping" : generation.seq ? "Writing" : "AI is thinking";
    field(element, "tools").hidden = live;
    const isEmpty = !shownText(generation) && !generation.html;
    for (const name of ["copy", "good", "bad"]) field(element, name).hidden = isEmpty;
    this.#thinking(element, generation);
    showNotes(element, generation);
    showContinue(element, generation);
    const receipt = field(element, "receipt");
    receipt.hidden = live || !generation.receipt;
    if (!live) this.#ended(element, generation);
    const trouble = field(element, "trouble");
    if (generation.error && !live) this.#trouble(element, generation.error, generation.state);
    else trouble.hidden = true;
  }

  /** @param {HTMLElement} element @param {import("./thread.js").Generation} generation */
  #thinking(element, generation) {
    showWait(element, generation);
    const thinking = field(element, "thinking");
    const waits = !field(element, "waitbox").hidden;
    thinking.hidden = waits || !isLive(generation.state) || generation.seq > 0 || generation.prefix !== "";
    if (thinking.hidden) return;
    const reason = field(element, "thinking-of");
    const since = this.thinkingSince.get(generation.turnId) ?? Date.now();
    this.thinkingSince.set(generation.turnId, since);
    const late = Date.now() - since > WAIT_WORDS_AFTER_MS;
    const { waiting } = generation;
    const words = waiting && isBrief(waiting) ? `${waitTitle(waiting, Date.now())}.` : late ? lateText(generation) : "";
    if (reason.textContent !== words) reason.textContent = words;
  }

  /** @param {HTMLElement} element @param {import("./thread.js").Generation} generation */
  #ended(element, generation) {
    const { word, icon: name } = isCut(generation) ? CUT : ENDED[/** @type {keyof typeof ENDED} */ (generation.state)];
    const state = field(element, "state-word");
    state.replaceChildren(icon(name), word);
    if (!generation.receipt) return;
    field(element, "receipt-line").textContent = receiptLine(generation.receipt);
    const rows = receiptRows(generation.receipt).map(({ label, value, kind, href }) => {
      const row = document.createElement("tr");
      row.className = kind;
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = label;
      const cell = document.createElement("td");
      if (href) {
        const link = document.createElement("a");
        link.href = href;
        link.textContent = value;
        cell.append(link);
      } else cell.textContent = value;
      row.append(head, cell);
      return row;
    });
    field(element, "receipt-rows").replaceChildren(...rows);
  }

  /** @param {HTMLElement} element @param {import("./thread.js").Problem} problem @param {string} kind */
  #trouble(element, problem, kind) {
    const box = field(element, "trouble");
    box.dataset.kind = kind;
    field(element, "trouble-text").textContent = problem.detail;
    const buttons = (problem.options ?? []).map((option) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button small";
      button.dataset.action = option.action;
      button.textContent = labelOf(option);
      return button;
    });
    field(element, "trouble-actions").replaceChildren(...buttons);
    box.hidden = false;
  }
}

/** "‹ 1/2 ›" @param {HTMLElement} element @param {"version" | "wording"} kind @param {string[]} ids @param {string | null} shown */
function switcher(element, kind, ids, shown) {
  const number = ids.indexOf(shown ?? "") + 1;
  const words = `Version ${number} of ${ids.length}`;
  const label = field(element, `${kind}-words`);
  if (label.textContent === words) return;
  label.textContent = words;
  field(element, `${kind}-figure`).textContent = `${number}/${ids.length}`;
  field(element, `${kind}s`).hidden = ids.length < 2;
  for (const [step, end] of /** @type {const} */ ([["previous", 1], ["next", ids.length]])) {
    /** @type {HTMLElement} */ (element.querySelector(`[data-action=${kind}-${step}]`)).setAttribute("aria-disabled", String(number === end));
  }
}

/** @param {import("./thread.js").Generation} generation */
function lateText(generation) {
  if (generation.state === "queued") return "Your question is queued.";
  return `Waiting for ${generation.model ? modelLabel(generation.model) : "the model"} to answer.`;
}
