// Plays events to the reducer.
import { reduce } from "../../static/js/reduce.js";
import { emptyThread } from "../../static/js/thread.js";

/** Runs events through the reducer and gathers the effects. */
export function play(events, thread = emptyThread()) {
  const effects = [];
  let now = thread;
  for (const event of events) {
    const step = reduce(now, event);
    now = step.thread;
    effects.push(...step.effects);
  }
  return { thread: now, effects };
}
