// @ts-check
// The receipt of an answer as rows. conversations/templatetags/figures.py makes the same rows on the server.

import { duration, figure, modelName, money, rate } from "./format.js";
import { entryPage } from "./server.js";

/**
 * @typedef {{ label: string, value: string, kind: "" | "part" | "sum", href?: string }} Row
 * @param {import("./thread.js").Receipt} receipt @returns {Row[]}
 */
export function receiptRows(receipt) {
  const mark = receipt.estimated ? "~" : "";
  /** @type {Row[]} */
  const rows = [{ label: "Input", value: `${mark}${figure(receipt.input_tokens)}`, kind: "" }];
  if (receipt.cached_tokens) rows.push({ label: "of which cached", value: figure(receipt.cached_tokens), kind: "part" });
  rows.push(...partRows(receipt.breakdown ?? {}));
  rows.push({ label: "Output", value: `${mark}${figure(receipt.output_tokens)}`, kind: "" });
  if (receipt.thinking_tokens) {
    rows.push({ label: "of which thinking", value: figure(receipt.thinking_tokens), kind: "part" });
  }
  if (receipt.expected_rest_tokens) {
    rows.push({ label: "of a whole answer missing", value: `≈ ${figure(receipt.expected_rest_tokens)}`, kind: "part" });
  }
  rows.push({ label: "Total tokens", value: `${mark}${figure(receipt.total_tokens)}`, kind: "sum" });
  rows.push({ label: "Cost", value: costText(receipt), kind: "sum" });
  if (receipt.rates) {
    const { input, output, cache_read: cached } = receipt.rates;
    rows.push({ label: "Rates per million", value: `${rate(input)} in · ${rate(cached)} cached · ${rate(output)} out`, kind: "part" });
  }
  if (receipt.price_version) rows.push({ label: "Price version", value: String(receipt.price_version), kind: "part" });
  if (receipt.first_token_ms !== null && receipt.first_token_ms !== undefined) {
    rows.push({ label: "First token after", value: duration(receipt.first_token_ms), kind: "" });
  }
  if (receipt.duration_ms !== null && receipt.duration_ms !== undefined) {
    rows.push({ label: "Generation time", value: duration(receipt.duration_ms), kind: "" });
  }
  if ((receipt.attempts ?? 0) > 1) rows.push({ label: "Attempts", value: String(receipt.attempts), kind: "" });
  rows.push({ label: "Model", value: receipt.model_label ?? modelName(receipt.model), kind: "" });
  rows.push({ label: "Model id", value: receipt.model, kind: "part" });
  if (typeof receipt.temperature === "number" && receipt.total_tokens) {
    rows.push({ label: "Temperature", value: String(receipt.temperature), kind: "part" });
  }
  if (receipt.estimated) {
    rows.push({ label: "Estimated", value: "the provider has not reported", kind: "" });
  }
  if (receipt.entry_id) {
    rows.push({ label: "Ledger entry", value: `…${receipt.entry_id.slice(-8)}`, kind: "", href: entryPage(receipt.entry_id) });
  }
  return rows;
}

/** What an input consists of, by the names of the server. @type {Record<string, string>} */
export const PART_WORDS = {
  system: "system prompt",
  questions: "your earlier messages",
  answers: "earlier answers",
  summary: "summary",
  tools: "tools",
  message: "this message",
};

/**
 * Only where it is more than the message alone. Shares, so about.
 * @param {Record<string, number>} breakdown @returns {Row[]}
 */
export function partRows(breakdown) {
  const present = Object.keys(PART_WORDS).filter((name) => breakdown[name]);
  if (present.length < 2 && (present[0] ?? "message") === "message") return [];
  return present.map((name) => ({ label: PART_WORDS[name], value: `≈ ${figure(breakdown[name])}`, kind: "part" }));
}

/** @param {import("./thread.js").Receipt} receipt */
function costText(receipt) {
  if (receipt.charged === false) return "not charged";
  return money(receipt.cost_usd) || "price unknown";
}
