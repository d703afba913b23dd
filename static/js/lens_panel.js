// @ts-check
// The panel of the context lens: draws what it is given and says what was pressed.

import { one } from "./elements.js";
import { figure, tokens } from "./format.js";
import { LensRows } from "./lens_rows.js";
import { olderText, partsOf, percentOf, percentText, savingText, summaryText } from "./lens_words.js";
import { previewLine } from "./preview_line.js";

const SVG = "http://www.w3.org/2000/svg";
const NEARLY_FULL_PERCENT = 90;

/**
 * @typedef {object} Callbacks
 * @property {(change: Record<string, any>) => void} onChange of policy or marks
 * @property {(message: import("./lens_words.js").Message) => void} onShow @property {() => void} onSummarise
 * @property {() => void} onStop @property {() => void} onDrop @property {() => void} onOpen
 */

export class LensPanel {
  /** @param {Callbacks} callbacks */
  constructor(callbacks) {
    this.callbacks = callbacks;
    this.aside = one("#lens", HTMLElement);
    this.inner = one(".lens-inner", HTMLElement, this.aside);
    this.sheet = one(".lens-sheet", HTMLDialogElement);
    this.opener = one("[data-field=lens-open]", HTMLAnchorElement);
    const field = (/** @type {string} */ name) => one(`[data-field=lens-${name}]`, HTMLElement, this.inner);
    this.field = field;
    this.policy = one("[data-field=lens-policy]", HTMLSelectElement, this.inner);
    this.rows = new LensRows(field("rows"), one("#lens-row", HTMLTemplateElement), {
      onShow: (message) => {
        if (this.sheet.open) this.close();
        callbacks.onShow(message);
      },
      onMark: ({ turn_id, role }, mark) => callbacks.onChange({ marks: [{ turn_id, role, mark }] }),
    });
    this.#listen();
  }

  #listen() {
    const { callbacks, sheet } = this;
    // Without scripts it leads to a page of its own.
    this.opener.addEventListener("click", (event) => {
      event.preventDefault();
      if (this.isOpen) this.close();
      else this.open();
    });
    this.field("close").addEventListener("click", () => this.close());
    this.policy.addEventListener("change", () => callbacks.onChange({ policy: this.policy.value }));
    this.field("default").addEventListener("click", () => callbacks.onChange({ policy: this.policy.value, as_default: true }));
    this.field("summarise").addEventListener("click", callbacks.onSummarise);
    this.field("stop").addEventListener("click", callbacks.onStop);
    this.field("drop").addEventListener("click", callbacks.onDrop);
    sheet.addEventListener("close", () => this.#closed());
    sheet.addEventListener("click", (event) => {
      if (event.target === sheet) this.close();
    });
    this.aside.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      this.close();
    });
    // What fits beside the thread on one side of the border is a sheet on the other.
    matchMedia("(max-width: 52rem)").addEventListener("change", () => this.isOpen && this.close());
  }

  get isOpen() {
    return this.opener.getAttribute("aria-expanded") === "true";
  }

  open() {
    this.opener.setAttribute("aria-expanded", "true");
    if (matchMedia("(max-width: 52rem)").matches) {
      this.sheet.append(this.inner);
      this.sheet.showModal();
    } else {
      this.aside.hidden = false;
      this.field("close").focus();
    }
    this.callbacks.onOpen();
  }

  close() {
    if (this.sheet.open) this.sheet.close();
    else this.#closed();
  }

  #closed() {
    const hadFocus = this.aside.contains(document.activeElement) || this.inner.parentElement === this.sheet;
    this.aside.append(this.inner);
    this.aside.hidden = true;
    this.opener.setAttribute("aria-expanded", "false");
    if (hadFocus) this.opener.focus();
  }

  /** @param {import("./lens_words.js").Context} context @param {import("./lens_words.js").Summary | null} news of a summary */
  show(context, news) {
    this.#figure(context);
    this.field("empty").hidden = context.messages.length > 0;
    this.field("known").hidden = context.messages.length === 0;
    this.#total(context);
    this.policy.value = context.policy;
    this.field("default").hidden = context.policy === context.default_policy;
    this.showSummary(context, news);
    this.rows.show(context);
    const older = this.field("older");
    older.hidden = context.older_turns === 0;
    older.textContent = olderText(context.older_turns);
  }

  /** In the status bar. @param {import("./lens_words.js").Context} context */
  #figure(context) {
    const percent = percentOf(context);
    const size = `${tokens(context.next.input_tokens)}, ${percentText(context)} of what the model takes`;
    one("[data-field=lens-percent]", HTMLElement, this.opener).textContent = percentText(context);
    one(".fill", SVGElement, this.opener).setAttribute("stroke-dasharray", `${Math.min(percent, 100)} 100`);
    this.opener.dataset.level = percent >= NEARLY_FULL_PERCENT ? "90" : "ok";
    this.opener.title = `With the next question: ${size}`;
  }

  /** @param {import("./lens_words.js").Context} context */
  #total(context) {
    const parts = partsOf(context.breakdown);
    this.field("tokens").textContent = tokens(context.next.input_tokens);
    this.field("window").textContent = `${percentText(context)} of the ${figure(context.window_tokens)} tokens that this model takes`;
    one("[data-field=lens-bar]", SVGElement, this.inner).replaceChildren(...parts.map((part) => {
      const rect = document.createElementNS(SVG, "rect");
      const shape = { x: part.begin, width: part.width, height: 10, "data-part": part.name };
      for (const [name, value] of Object.entries(shape)) rect.setAttribute(name, String(value));
      return rect;
    }));
    this.field("parts").replaceChildren(...parts.map((part) => {
      const row = document.createElement("div");
      row.dataset.part = part.name;
      for (const [name, words] of [["dt", part.label], ["dd", figure(part.tokens)]]) {
        row.append(Object.assign(document.createElement(name), { textContent: words }));
      }
      return row;
    }));
    const next = this.field("next");
    next.textContent = previewLine(context.next);
    next.dataset.level = context.next.refusal ? "refused" : context.next.confirm ? "near" : "ok";
  }

  /** Also when nothing but the clock has changed. @param {import("./lens_words.js").Context} context @param {import("./lens_words.js").Summary | null} news */
  showSummary(context, news) {
    const { summary, running, saving } = context;
    const failed = news?.state === "failed" || news?.state === "stopped" ? news : null;
    const told = running ?? failed ?? summary;
    const box = this.field("summary");
    box.hidden = !told && !saving;
    box.dataset.state = told?.state ?? "";
    const words = [told && summaryText(told), !running && saving && savingText(saving)].filter(Boolean);
    this.field("summary-text").textContent = words.join(" ");
    const button = one("[data-field=lens-summarise]", HTMLButtonElement, box);
    button.hidden = Boolean(running) || !saving;
    button.disabled = saving?.fits === false;
    button.textContent = summary ? "Summarise further" : "Summarise older messages";
    this.field("stop").hidden = !running;
    this.field("drop").hidden = !summary || Boolean(running);
    this.field("summary-words").hidden = !summary;
    this.field("summary-said").textContent = summary?.text ?? "";
  }
}
