// @ts-check
// Numbers as people read them. conversations/templatetags/figures.py writes the same on the server.

const GROUPED = new Intl.NumberFormat("en-US");

/** @param {number} count */
export const tokens = (count) => `${GROUPED.format(count)} ${count === 1 ? "token" : "tokens"}`;

/** @param {number} count */
export const figure = (count) => GROUPED.format(count);

/**
 * US dollars from a decimal string: four decimals under a cent, else two.
 * @param {string | null | undefined} usd @returns {string} "" where the cost is not known
 */
export function money(usd) {
  if (usd === null || usd === undefined || usd === "") return "";
  const value = Number(usd);
  if (value === 0) return "$0.00";
  if (value < 0.00005) return "<$0.0001";
  if (value < 0.00995) return `$${value.toFixed(4)}`;
  return `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

/**
 * The most that something costs: never rounded down, and fine enough to show what a change saves.
 * @param {string | null | undefined} usd @returns {string} "" where it is not known
 */
export function atMost(usd) {
  const value = Number(usd ?? "");
  if (!usd || value === 0 || value >= 1) return money(usd && value >= 1 ? String(roundedUp(value, 100)) : usd);
  const text = roundedUp(value, 10_000).toFixed(4);
  // From a cent on without needless noughts: $0.02, $0.0223.
  return `$${value < 0.00995 ? text : text.replace(/0{1,2}$/, "")}`;
}

/** What is a whole number of parts, but for how it is written in binary, stays. @param {number} value @param {number} parts */
const roundedUp = (value, parts) => Math.ceil(value * parts - 1e-6) / parts;

/** A price per million tokens: every decimal that it has, and at least the cents. @param {string} usd */
export function rate(usd) {
  const [whole, rest = ""] = usd.split(".");
  return `$${whole}.${rest.padEnd(2, "0")}`;
}

/** @param {number | null | undefined} milliseconds */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** How long until a moment, in two units at most. @param {number} seconds */
export function remaining(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  if (left < 60) return `${left} s`;
  const minutes = Math.floor(left / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** The label of a model id: "demo:friendly" is shown as "friendly". @param {string} model */
export const modelName = (model) => model.slice(model.indexOf(":") + 1);

/**
 * The one quiet line under an answer.
 * @param {import("./thread.js").Receipt} receipt
 */
export function receiptLine(receipt) {
  const mark = receipt.estimated ? "~" : "";
  const cost = receipt.charged === false ? "" : money(receipt.cost_usd);
  const used = receipt.charged === false && !receipt.total_tokens ? "" : `${mark}${tokens(receipt.total_tokens)}`;
  const parts = [used, receipt.duration_ms ? duration(receipt.duration_ms) : "", cost];
  if (receipt.estimated) parts.push("estimated");
  if (receipt.charged === false) parts.push("not charged");
  return parts.filter(Boolean).join(" · ");
}
