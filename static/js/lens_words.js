// @ts-check
// The words and shapes of the context lens. Pure.

import { atMost, figure, money, remaining, tokens } from "./format.js";
import { PART_WORDS } from "./receipt.js";

/**
 * @typedef {"in" | "pinned" | "summarised" | "dropped" | "excluded"} Status
 * @typedef {{ turn_id: string, role: "user" | "assistant", excerpt: string, tokens: number, status: Status, mark: string }} Message
 * @typedef {object} Summary
 * @property {string} id @property {"queued" | "running" | "waiting" | "completed" | "stopped" | "failed"} state @property {number} turns
 * @property {number} before_tokens @property {number} after_tokens @property {string} text
 * @property {{ detail: string } | null} error @property {any} receipt
 * @property {{ detail: string, retry_at: string, attempt: number, max_attempts: number } | null} [waiting] after a fault
 * @typedef {{ messages: number, before_tokens: number, after_tokens: number, cost_usd: string | null, fits: boolean, offered: boolean }} Saving
 * @typedef {object} Context
 * @property {string} policy @property {string} default_policy @property {number} window_tokens @property {number} input_tokens
 * @property {Record<string, number>} breakdown @property {string | null} input_usd_per_million
 * @property {Message[]} messages @property {number} older_turns
 * @property {number} budget_tokens up to which earlier messages are taken @property {boolean} is_cut no more fits
 * @property {import("./preview_line.js").Preview} next
 * @property {Summary | null} summary @property {Summary | null} running @property {Saving | null} saving
 */

/** How full the model's window is. @param {Context} context */
export function percentText(context) {
  const percent = percentOf(context);
  if (percent === 0) return "0 %";
  return percent < 1 ? "<1 %" : `${Math.round(percent)} %`;
}

/** @param {Context} context */
export const percentOf = (context) => (100 * context.next.input_tokens) / Math.max(context.window_tokens, 1);

/**
 * The parts that there are, with where each begins and how wide it is in thousandths of the whole.
 * @param {Record<string, number>} breakdown
 * @returns {{ name: string, label: string, tokens: number, begin: number, width: number }[]}
 */
export function partsOf(breakdown) {
  const names = Object.keys(PART_WORDS).filter((name) => breakdown[name] > 0);
  const whole = names.reduce((sum, name) => sum + breakdown[name], 0);
  let before = 0;
  return names.map((name) => {
    const begin = Math.round((1000 * before) / whole);
    before += breakdown[name];
    const label = PART_WORDS[name][0].toUpperCase() + PART_WORDS[name].slice(1);
    return { name, label, tokens: breakdown[name], begin, width: Math.round((1000 * before) / whole) - begin };
  });
}

/** Beside a message, where something else than sending it in full becomes of it. @type {Record<Status, string>} */
export const STATUS_WORDS = {
  in: "", pinned: "pinned", summarised: "summarised", dropped: "not sent", excluded: "left out",
};

/** "312 tokens, $0.0001 with each question" @param {number} count @param {string | null} usdPerMillion */
export function worth(count, usdPerMillion) {
  const cost = usdPerMillion === null ? "" : money(String((count * Number(usdPerMillion)) / 1e6));
  return cost && Number(usdPerMillion) > 0 ? `${tokens(count)}, ${cost} with each question` : `${tokens(count)} with each question`;
}

/** What summarising would come to. @param {Saving} saving */
export function savingText(saving) {
  const cost = atMost(saving.cost_usd);
  const sizes = `${figure(saving.before_tokens)} → at most ${figure(saving.after_tokens)} tokens with the next question`;
  const count = saving.messages === 1 ? "1 older message" : `${figure(saving.messages)} older messages`;
  return `${count}: ${sizes}${saving.fits ? `, for at most ${cost || "an unknown price"}` : ". Your budget does not allow the call"}.`;
}

/** Unasked, above the composer. @param {Saving} saving */
export function offerText(saving) {
  const cost = atMost(saving.cost_usd);
  return `Each question takes ${tokens(saving.before_tokens)}, or at most ${figure(saving.after_tokens)} with a summary`
    + `${cost ? ` (at most ${cost})` : ""}.`;
}

/**
 * What no longer fits into what the model takes, or soon will not: after two more questions like the last one;
 * null: there is room. Pure. @param {Context} context @returns {{ level: "near" | "full", text: string } | null}
 */
export function windowWarning(context) {
  const questions = context.messages.filter((one) => one.role === "user");
  if (context.is_cut) {
    const dropped = questions.filter((one) => one.status === "dropped");
    const count = dropped.length + context.older_turns;
    const last = dropped.at(-1);
    if (!last) return null;
    const which = count === 1 ? `${quoted(last)} and its answer are` : `The oldest ${figure(count)} questions, up to ${quoted(last)}, are`;
    return { level: "full", text: `${which} no longer sent: the model takes no more.` };
  }
  const first = questions.find((one) => one.status === "in");
  const newest = context.messages.at(-1)?.turn_id;
  const like = context.messages.filter((one) => one.turn_id === newest).reduce((sum, one) => sum + one.tokens, 0);
  if (!first || first.turn_id === newest || context.input_tokens + SOON_QUESTIONS * like <= context.budget_tokens) return null;
  return { level: "near", text: `Nearly full: ${quoted(first)} is soon no longer sent, since the model takes no more.` };
}

const SOON_QUESTIONS = 2;
const QUOTED_CHARACTERS = 32;

/** @param {Message} message */
function quoted({ excerpt }) {
  const short = excerpt.length <= QUOTED_CHARACTERS ? excerpt : `${excerpt.slice(0, QUOTED_CHARACTERS - 1).trimEnd()}…`;
  return `“${short}”`;
}

/** Whether it is still being made. @param {Summary | null | undefined} summary */
export const isBeingMade = (summary) => ["queued", "running", "waiting"].includes(summary?.state ?? "");

/** What has become of a summary. @param {Summary} summary @param {number} [now] milliseconds */
export function summaryText(summary, now = Date.now()) {
  const questions = summary.turns === 1 ? "1 question" : `${figure(summary.turns)} questions`;
  if (summary.state === "queued" || summary.state === "running") return `Summarising ${questions} with ${summary.turns === 1 ? "its answer" : "their answers"}…`;
  if (summary.waiting) {
    const { detail, retry_at, attempt, max_attempts } = summary.waiting;
    const seconds = (Date.parse(retry_at) - now) / 1000;
    return `${detail} Summarising again ${seconds <= 0.5 ? "now" : `in ${remaining(seconds)}`} (${attempt} of ${max_attempts}).`;
  }
  if (summary.state === "stopped") {
    const cost = summary.receipt?.charged ? money(summary.receipt.cost_usd) : "";
    return `There is no summary: you stopped it${cost ? `, and what it had used cost ${cost}` : ""}. The messages are sent as before.`;
  }
  if (summary.state === "failed") {
    return `There is no summary. ${summary.error?.detail ?? ""} Nothing is lost: the messages are sent as before.`.replace("  ", " ");
  }
  const cost = summary.receipt?.charged ? money(summary.receipt.cost_usd) : "";
  const what = summary.turns === 1 ? "1 question with its answer is" : `${questions} with their answers are`;
  return `${what} summarised: ${figure(summary.before_tokens)} → ${tokens(summary.after_tokens)}`
    + `${cost ? `, for ${cost}` : ""}.`;
}

/** Turns that are older than those listed. @param {number} count */
export const olderText = (count) =>
  count === 1 ? "One older question is not sent." : `${figure(count)} older questions are not sent.`;
