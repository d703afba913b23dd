// @ts-check
// The header's meter: the tightest budget beside what this conversation has used.

import { figure, money, remaining, tokens } from "./format.js";

const PERIOD_WORDS = { none: "in total", day: "today", week: "this week", month: "this month" };
const PERIOD_NOUNS = { day: "budget for today", week: "budget for this week", month: "budget for this month" };
const WHOSE = { user: "your", own: "your own", group: "your group's", conversation: "this conversation's", everyone: "this site's" };
const SCOPE_WORDS = { user: "Your budget", own: "Your own limit", group: "Your group", conversation: "This conversation", everyone: "The site" };
const LEVEL_WORDS = { 75: "75 % used", 90: "Almost used up", 100: "Used up" };

/** @param {any} budget @param {number | string} amount tokens, or US dollars as a decimal string */
const amountText = (budget, amount) => (budget.unit === "usd" ? money(String(amount)) : figure(Number(amount)));

/** "450 / 4,000 tokens today (11 %)". @param {any} budget */
export function budgetText(budget) {
  const unit = budget.unit === "usd" ? "" : " tokens";
  const period = PERIOD_WORDS[/** @type {keyof typeof PERIOD_WORDS} */ (budget.period)] ?? "";
  if (budget.limit === null) return `${amountText(budget, budget.used)}${unit} ${period}, no limit`;
  const limit = `${amountText(budget, budget.limit)}${unit}`;
  return `${amountText(budget, budget.used)} / ${limit}${period ? ` ${period}` : ""} (${Math.floor(budget.percent)} %)`;
}

/** "450 / 4,000 (11 %)", where there is less room. @param {any} budget */
export const shortText = (budget) =>
  headText(budget.scope, `${amountText(budget, budget.used)} / ${amountText(budget, budget.limit)} (${Math.floor(budget.percent)} %)`);

/** Whose it is, before it, where others use it up as well. @param {string} scope @param {string} text as budgetText gives it */
export function headText(scope, text) {
  const whose = scope === "group" || scope === "everyone" ? SCOPE_WORDS[scope] : "";
  return whose ? `${whose}: ${text}` : text;
}

/** The banner at 75, 90 and 100 %: what happened and what helps. @param {any} budget @param {number} nowMs */
export function warningText(budget, nowMs) {
  const whose = WHOSE[/** @type {keyof typeof WHOSE} */ (budget.scope)] ?? "the";
  const which = `${whose} ${PERIOD_NOUNS[/** @type {keyof typeof PERIOD_NOUNS} */ (budget.period)] ?? "budget"}`;
  const left = Math.max(0, Number(budget.limit) - Number(budget.used));
  const rest = budget.unit === "usd" ? money(String(left)) : tokens(left);
  const reset = budget.resets_at
    ? ` It resets in ${remaining((Date.parse(budget.resets_at) - nowMs) / 1000)}.`
    : "";
  if (budget.level === "100") return `${which[0].toUpperCase()}${which.slice(1)} is used up.${reset}`;
  return `${Math.floor(budget.percent)} % of ${which} is used: ${rest} left.${reset}`;
}

export class Meter {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.figure = /** @type {HTMLElement} */ (root.querySelector("[data-field=meter-figure]"));
    this.total = /** @type {HTMLElement} */ (root.querySelector("[data-field=total]"));
    this.tokens = Number(root.dataset.tokens ?? 0);
    this.costNanousd = Math.round(Number(root.dataset.costUsd ?? 0) * 1e9);
    this.costKnown = root.dataset.costKnown !== "false";
  }

  /** An answer was settled. @param {import("./thread.js").Receipt} receipt */
  addReceipt(receipt) {
    if (receipt.charged === false) return;
    this.tokens += receipt.total_tokens;
    if (receipt.cost_usd === null) this.costKnown = this.costKnown && receipt.total_tokens === 0;
    else this.costNanousd += Math.round(Number(receipt.cost_usd) * 1e9);
    this.#showTotal();
  }

  open() {
    this.root.setAttribute("open", "");
    this.root.querySelector("summary")?.focus();
  }

  #showTotal() {
    const cost = this.costKnown ? money((this.costNanousd / 1e9).toFixed(9)) : "";
    const text = [tokens(this.tokens), cost].filter(Boolean).join(" · ");
    this.total.textContent = text;
    if (!this.root.dataset.key) {
      this.figure.textContent = text;
      this.#shorten(cost || tokens(this.tokens));
    }
    const beside = this.root.querySelector("[data-field=total-beside]");
    if (beside) beside.textContent = [`${tokens(this.tokens)} here`, cost].filter(Boolean).join(", ");
  }

  /** Called twice a second. @param {number} nowMs @returns {boolean} whether a period has begun: nothing of it is used */
  tick(nowMs) {
    let begun = false;
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (this.root.querySelectorAll("[data-resets-at]"))) {
      const seconds = (Date.parse(row.dataset.resetsAt ?? "") - nowMs) / 1000;
      const words = seconds > 0 ? ` · resets in ${remaining(seconds)}` : "";
      const element = row.querySelector("[data-field=budget-reset]");
      if (element && element.textContent !== words) element.textContent = words;
      if (seconds > 0) continue;
      begun = true;
      const [scope, unit, period] = (row.dataset.budget ?? "").split(":");
      this.#fill(row, { scope, unit, period, used: "0", limit: row.dataset.limit, percent: 0, level: "ok", resets_at: null });
    }
    if (begun) this.#head();
    return begun;
  }

  /** @param {any} budget an event budget.changed */
  update(budget) {
    const key = `${budget.scope}:${budget.unit}:${budget.period}:${budget.model ?? ""}`;
    const row = this.root.querySelector(`[data-budget="${CSS.escape(key)}"]`);
    if (!(row instanceof HTMLElement)) return;
    this.#fill(row, budget);
    this.#head();
  }

  /** @param {HTMLElement} row @param {any} budget */
  #fill(row, budget) {
    fill(row, budget);
    const taken = Number(budget.used) + Number(budget.held ?? 0);
    row.dataset.share = budget.limit === null ? "0" : String(taken / Number(budget.limit) * 1e6);
    row.dataset.short = shortText(budget);
    if (budget.limit !== null) row.dataset.limit = String(budget.limit);
    if (budget.resets_at) row.dataset.resetsAt = budget.resets_at;
    else delete row.dataset.resetsAt;
    const text = row.querySelector("[data-field=budget-text]");
    if (text) text.textContent = budgetText(budget);
  }

  /** The header shows the tightest hard budget: another one, when that has overtaken what was shown. */
  #head() {
    const rows = /** @type {HTMLElement[]} */ ([...this.root.querySelectorAll("[data-budget]")]);
    const tightest = tightestOf(rows.map((row) => row.dataset), this.root.dataset.key ?? "");
    const row = rows.find((one) => one.dataset.budget === tightest);
    if (!row) return;
    this.root.dataset.key = tightest;
    this.root.dataset.level = row.dataset.level;
    copy(row, this.root, "[role=meter]", "aria-valuenow");
    copy(row, this.root, ".meter-bar .fill", "width");
    const scope = /** @type {keyof typeof SCOPE_WORDS} */ (tightest.split(":")[0]);
    const text = row.querySelector("[data-field=budget-text]")?.textContent ?? "";
    this.figure.textContent = headText(scope, text);
    // It stands for the words beside it, which are not said once more.
    const whose = SCOPE_WORDS[scope] ?? "Budget";
    const bar = this.root.querySelector("[role=meter]");
    bar?.setAttribute("aria-label", whose);
    bar?.setAttribute("aria-valuetext", `${whose}: ${text}`);
    const word = this.root.querySelector("summary .level-word");
    if (word) word.textContent = row.querySelector(".level-word")?.textContent ?? "";
    this.#shorten(row.dataset.short ?? "");
  }

  /** Where there is no room for all of it. @param {string} text */
  #shorten(text) {
    const short = this.root.querySelector("[data-field=meter-short]");
    if (short) short.textContent = text;
  }
}

/**
 * The one that is fullest with the next answer in it, hard ones before soft ones; the one that is shown, where they
 * are alike. Shares in millionths.
 * @param {{ budget?: string, share?: string, next?: string, hard?: string }[]} rows @param {string} shown
 */
export function tightestOf(rows, shown) {
  const fullness = (/** @type {typeof rows[0]} */ row) => Number(row.share) + Number(row.next);
  const hard = rows.filter((row) => row.hard === "1");
  let best = null;
  for (const row of hard.length ? hard : rows) {
    const ahead = best === null ? 1 : fullness(row) - fullness(best);
    if (ahead > 0 || (ahead === 0 && row.budget === shown)) best = row;
  }
  return best?.budget ?? "";
}

/** @param {HTMLElement} from @param {HTMLElement} to @param {string} selector @param {string} name */
function copy(from, to, selector, name) {
  to.querySelector(selector)?.setAttribute(name, from.querySelector(selector)?.getAttribute(name) ?? "");
}

/** @param {HTMLElement} element @param {any} budget */
function fill(element, budget) {
  element.dataset.level = budget.level;
  const percent = Math.min(100, Math.max(0, Number(budget.percent)));
  element.querySelector(".meter-bar .fill")?.setAttribute("width", String(percent));
  const bar = element.querySelector("[role=meter]");
  bar?.setAttribute("aria-valuenow", String(Math.floor(percent)));
  bar?.setAttribute("aria-valuetext", budgetText(budget));
  const word = element.querySelector(".level-word");
  if (word) word.textContent = LEVEL_WORDS[/** @type {keyof typeof LEVEL_WORDS} */ (budget.level)] ?? "";
}
