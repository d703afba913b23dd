// @ts-check
// The receipt of an answer as rows. conversations/templatetags/figures.py makes the same rows on the server.

import { duration, figure, modelName, money } from "./format.js";

/**
 * @typedef {{ label: string, value: string, kind: "" | "part" | "sum" }} Row
 * @param {import("./thread.js").Receipt} receipt @returns {Row[]}
 */
export function receiptRows(receipt) {
  const mark = receipt.estimated ? "~" : "";
  /** @type {Row[]} */
  const rows = [{ label: "Input", value: `${mark}${figure(receipt.input_tokens)}`, kind: "" }];
  if (receipt.cached_tokens) rows.push({ label: "of which cached", value: figure(receipt.cached_tokens), kind: "part" });
  rows.push({ label: "Output", value: `${mark}${figure(receipt.output_tokens)}`, kind: "" });
  if (receipt.thinking_tokens) {
    rows.push({ label: "of which thinking", value: figure(receipt.thinking_tokens), kind: "part" });
  }
  rows.push({ label: "Total tokens", value: `${mark}${figure(receipt.total_tokens)}`, kind: "sum" });
  rows.push({ label: "Cost", value: costText(receipt), kind: "sum" });
  if (receipt.rates) {
    const { input, output, cache_read: cached } = receipt.rates;
    rows.push({ label: "Rates per million", value: `$${input} in · $${cached} cached · $${output} out`, kind: "part" });
  }
  if (receipt.price_version) rows.push({ label: "Price version", value: String(receipt.price_version), kind: "part" });
  if (receipt.first_token_ms !== null && receipt.first_token_ms !== undefined) {
    rows.push({ label: "First token after", value: duration(receipt.first_token_ms), kind: "" });
  }
  if (receipt.duration_ms !== null && receipt.duration_ms !== undefined) {
    rows.push({ label: "Generation time", value: duration(receipt.duration_ms), kind: "" });
  }
  rows.push({ label: "Model", value: modelName(receipt.model), kind: "" });
  if (receipt.estimated) {
    rows.push({ label: "Estimated", value: "the provider has not reported", kind: "" });
  }
  return rows;
}

/** @param {import("./thread.js").Receipt} receipt */
function costText(receipt) {
  if (receipt.charged === false) return "not charged";
  return money(receipt.cost_usd) || "price unknown";
}
