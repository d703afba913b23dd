// @ts-check
// An event or a local action and a thread give the next thread and the effects that the page has to carry
// out. Pure.

import { actions } from "./thread_actions.js";
import { events } from "./thread_events.js";

/** @typedef {import("./thread.js").Thread} Thread @typedef {import("./thread.js").Step} Step */

const handlers = { ...actions, ...events };

/**
 * @param {Thread} thread @param {{ type: string, [field: string]: any }} event
 * @returns {Step} events of unknown type change nothing: a newer server may know more
 */
export function reduce(thread, event) {
  const handler = Object.hasOwn(handlers, event.type) ? handlers[event.type] : null;
  return handler ? handler(thread, event) : { thread, effects: [] };
}
