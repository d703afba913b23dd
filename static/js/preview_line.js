// @ts-check
// The quiet line under the composer: what the message will take and what it will leave. Pure.

import { atMost, figure, money } from "./format.js";

const PERIODS = { none: "", day: "today", week: "this week", month: "this month" };

/**
 * @typedef {object} Preview
 * @property {number} input_tokens @property {number} max_output_tokens @property {boolean} is_cut
 * @property {string | null} cost_usd @property {number} dropped_turns @property {boolean} confirm
 * @property {{ amount: number | string, unit: string, period: string, scope: string } | null} leaves
 * @property {{ code: string, detail: string, resets_at: string | null } | null} refusal
 * @property {{ message: number }} breakdown in tokens
 */

/** "≈ 412 in · up to 4,096 out · at most $0.0018 · leaves 48,120 tokens today" @param {Preview} preview */
export function previewLine(preview) {
  if (preview.refusal) return preview.refusal.detail;
  const parts = [`≈ ${figure(preview.input_tokens)} in`, `up to ${figure(preview.max_output_tokens)} out`];
  if (preview.is_cut) parts[1] += " (cut to fit)";
  const cost = atMost(preview.cost_usd);
  parts.push(cost ? `at most ${cost}` : "price unknown");
  if (preview.leaves) {
    const { amount, unit, period } = preview.leaves;
    const rest = unit === "usd" ? money(String(amount)) : `${figure(Number(amount))} tokens`;
    parts.push(`leaves ${rest} ${PERIODS[/** @type {keyof typeof PERIODS} */ (period)] ?? ""}`.trim());
  }
  if (preview.dropped_turns) {
    parts.push(`without the oldest ${preview.dropped_turns === 1 ? "question" : `${figure(preview.dropped_turns)} questions`}`);
  }
  return parts.join(" · ");
}

/** Of a message that is too long to be sent. @param {Pick<Preview, "breakdown">} preview of the part that may be sent @param {number} times how many such parts it has */
export const longLine = ({ breakdown: { message } }, times) =>
  `≈ ${figure(Math.round(message * times))} tokens; about ${figure(message)} can be sent`;
