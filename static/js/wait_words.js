// @ts-check
// What an answer waits for, in words that change with the clock. Pure.

import { remaining } from "./format.js";

/** @typedef {import("./thread.js").Waiting} Waiting */

// A wait this long has a time of day beside the rest of it.
const LONG_SECONDS = 120;

/** The line that counts down. @param {Waiting} waiting @param {number} now milliseconds @returns {string} */
export function waitTitle(waiting, now) {
  const seconds = waiting.retryAt ? (Date.parse(waiting.retryAt) - now) / 1000 : waiting.waitSeconds;
  const isDue = seconds <= 0.5;
  const count = `(${waiting.attempt} of ${waiting.maxAttempts})`;
  const sending = isDue ? "sending now" : `sending in ${remaining(seconds)}`;
  switch (waiting.reason) {
    case "rate_limit":
      return `Service busy, ${sending} ${count}`;
    case "retry":
      return `The service had an error, ${sending} ${count}`;
    case "capacity":
      return `${waiting.place ? `In the queue, place ${waiting.place}` : "Waiting for a free place"}, ${sending}`;
    case "outage":
      return isDue ? "Service down, trying again now" : `Service down, trying again in ${remaining(seconds)}`;
    case "choice":
      return isDue ? "The time to choose is over" : `Service busy for ${remaining(seconds)}. What now?`;
    case "scheduled":
      return isDue ? "Sending now" : `Sending ${timeOf(waiting.retryAt, now)}, in ${remaining(seconds)}`;
    case "fallback":
      return "Passing your question on";
    default:
      return "Taking up your question again";
  }
}

/** What else there is to say. @param {Waiting} waiting @param {number} now */
export function waitDetail(waiting, now) {
  const parts = [waiting.detail];
  if (waiting.givesUpAt) parts.push(`We keep trying until ${timeOf(waiting.givesUpAt, now).replace(/^at /, "")}.`);
  return parts.filter(Boolean).join(" ");
}

/** Whether it is so short that there is nothing to choose. @param {Waiting} waiting */
export const isBrief = (waiting) => waiting.reason === "fallback" || waiting.reason === "recovery";

/** @param {{ action: string, label: string, run_at?: string }} option @param {number} now */
export function waitLabel(option, now) {
  return option.action === "schedule" && option.run_at ? `Send ${timeOf(option.run_at, now)}` : option.label;
}

/** "at 14:05", "tomorrow at 00:00". @param {string | null | undefined} moment @param {number} now */
export function timeOf(moment, now) {
  if (!moment) return "later";
  const [then, today] = [new Date(moment), new Date(now)];
  const time = then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const midnight = new Date(today.getFullYear(), today.getMonth(), today.getDate()).getTime();
  const days = Math.floor((then.getTime() - midnight) / 86_400_000);
  if (days <= 0) return `at ${time}`;
  return days === 1 ? `tomorrow at ${time}` : `on ${then.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} at ${time}`;
}

/** @param {any} event generation.waiting @returns {Waiting} */
export const waitingOf = (event) => ({
  reason: event.reason,
  detail: event.detail ?? "",
  waitSeconds: event.wait_seconds ?? 0,
  retryAt: event.retry_at ?? null,
  givesUpAt: event.gives_up_at ?? null,
  attempt: event.attempt ?? 1,
  maxAttempts: event.max_attempts ?? 1,
  place: event.place ?? null,
  options: event.options ?? [],
});

/** A sentence for screen readers, said once. @param {Waiting} waiting @param {number} now */
export function waitSaid(waiting, now) {
  if (isBrief(waiting)) return "";
  return `${waitTitle(waiting, now)}. ${waitDetail(waiting, now)}`;
}

/** "Today, 14:05" for answers of another time. @param {string} since @param {number} now */
export function sinceWords(since, now) {
  const then = new Date(since);
  const seconds = (now - then.getTime()) / 1000;
  if (seconds < 60) return "From a moment ago.";
  if (seconds < LONG_SECONDS * 30) return `From ${remaining(seconds)} ago.`;
  const time = then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return `From ${then.toLocaleDateString("en-GB", { day: "numeric", month: "long" })}, ${time}.`;
}
