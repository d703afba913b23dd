// @ts-check
// The chat page: brings thread, line, composer, meter and rail together.

import { adoptPage } from "./adopt.js";
import { AgainMenu } from "./again.js";
import { Announcer } from "./announcer.js";
import { Asking } from "./asking.js";
import { Banner } from "./banner.js";
import { BudgetNews } from "./budget_news.js";
import { Composer } from "./composer.js";
import { copy, copyCodeIn, markdownOf } from "./copying.js";
import { one } from "./elements.js";
import { enhance } from "./enhance.js";
import { Lens } from "./lens.js";
import { Line } from "./line.js";
import { Meter } from "./meter.js";
import { Offer } from "./offer.js";
import { Older } from "./older.js";
import { OpenConversation, idOf } from "./open_conversation.js";
import { pickerOf } from "./picker.js";
import { SendPreview } from "./preview.js";
import { Rail } from "./rail.js";
import { reduce } from "./reduce.js";
import { StickToBottom } from "./scroll.js";
import { conversationUrl, request } from "./server.js";
import { setting } from "./settings.js";
import { listen } from "./shortcuts.js";
import { TemporarySwitch } from "./temporary.js";
import { isBusy, liveGeneration, shownText } from "./thread.js";
import { ThreadView } from "./thread_view.js";
import { Title, markDone } from "./title.js";
import { Versions } from "./versions.js";

const root = one(".chat", HTMLElement);
const threadRoot = one(".thread", HTMLElement);
const scroller = one(".thread-scroll", HTMLElement);
const announcer = new Announcer(
  { polite: one("#live", HTMLElement), urgent: one("#alert", HTMLElement) }, { reads: () => setting("readSentences") },
);
const banner = new Banner(one("[data-field=banner]", HTMLElement), (text) => announcer.alert(text));
const meter = new Meter(one(".meter", HTMLElement));
const picker = pickerOf(one(".picker", HTMLElement), { onModel: modelChosen, onSettings: () => preview.changed() });
const scroll = new StickToBottom(scroller, one(".jump", HTMLElement));
const offer = new Offer(one("[data-field=offer]", HTMLElement));
let thread = adoptPage(threadRoot);

/** One polite sentence for screen readers. @param {string} text */
const say = (text) => announcer.say(text);

/** @param {string} turnId @returns {HTMLElement | null} */
const turnElement = (turnId) => threadRoot.querySelector(`[data-turn-id="${CSS.escape(turnId)}"]`);

const conversation = new OpenConversation(root, {
  onMade: () => {
    banner.hide();
    preview.changed();
    line.connect();
    line.resendOutbox();
  },
  onUnreachable: () => banner.show("The server cannot be reached. Your text is kept.", "bad"),
  onReachable: () => line.resendOutbox(),
});
const page = { root, thread: () => thread, dispatch, say, banner, conversation };
const line = new Line(page, one("[data-field=connection]", HTMLElement));
const view = new ThreadView(threadRoot, one("#turn-template", HTMLTemplateElement), {
  onFlush: flushed,
  onAction: act,
});
const composer = new Composer(one(".composer", HTMLFormElement), {
  onSend: (text) => asking.send({ text }),
  onStop: () => asking.stop(),
  onInput: (text) => {
    conversation.drafts.write(text);
    preview.changed();
    lens.changed();
    if (text && !conversation.id) conversation.open();
  },
  onRecall: () => {
    const last = thread.turns.findLast((turn) => turn.status === "accepted");
    if (last) asking.edit(last);
    return Boolean(last);
  },
  say,
});
const preview = new SendPreview(one("[data-field=preview]", HTMLElement), {
  text: () => composer.text,
  url: () => conversation.url,
  parameters: () => picker.parameters(),
  isTooLong: () => composer.isTooLong,
});
const lens = new Lens({
  id: () => conversation.id,
  text: () => composer.text,
  parameters: () => picker.parameters(),
  say,
  fail: (text) => banner.show(text, "bad"),
  onChanged: () => preview.changed(),
  onReceipt: (receipt) => meter.addReceipt(receipt),
  show: (turnId) => turnElement(turnId)?.scrollIntoView({ block: "start" }),
});
const asking = new Asking({
  ...page, lens, line, composer, preview, offer, scroll, turnElement, parameters: () => picker.parameters(),
});
const budgets = new BudgetNews({ ...page, meter, preview, picker });
const versions = new Versions(threadRoot, {
  url: () => conversation.url,
  thread: () => thread,
  dispatch,
  keep: (element, change) => scroll.keep(element, change),
  say,
  fail: (text) => banner.show(text, "bad"),
});
const again = new AgainMenu(one("#again-menu", HTMLFormElement), (turnId, parameters) => {
  asking.again("regenerate", turnId, parameters);
});
new Older(one("[data-field=older]", HTMLAnchorElement), {
  scroller,
  url: () => conversation.url,
  first: () => {
    const id = thread.turns[0]?.id;
    const element = id && turnElement(id);
    return element ? { id, element } : null;
  },
  show: (turns, around) => scroll.keep(around, () => dispatch({ type: "local.older", turns })),
  say,
});
const temporary = new TemporarySwitch(document.querySelector("[data-field=temporary-switch]"), {
  ...page, line, onSwitched: () => composer.field.focus(),
});
const title = new Title(one("[data-field=title]", HTMLButtonElement), (before, wanted) => {
  if (!conversation.isTemporary) rail.rename(conversation.id, before, wanted);
  else request("PATCH", conversationUrl(conversation.id), { title: wanted }).catch((error) => banner.show(error.message, "bad"));
});
const rail = new Rail(one(".rail-inner", HTMLElement), one("#rail-template", HTMLTemplateElement), {
  current: () => conversation.id,
  onTitle: (text) => title.show(text),
  onGone: gone,
  say,
});

// --- What happens -------------------------------------------------------------------

/** @param {{ type: string, [field: string]: any }} event */
function dispatch(event) {
  const { thread: next, effects } = reduce(thread, event);
  if (next !== thread) {
    thread = next;
    view.update(thread);
    composer.setMode(isBusy(thread) ? "stop" : "send");
    document.querySelector(".welcome")?.toggleAttribute("hidden", thread.turns.some((turn) => turn.status !== "refused"));
  }
  for (const effect of effects) carryOut(effect);
  lens.hear(event);
}

/** @param {import("./thread.js").Effect} effect */
function carryOut(effect) {
  if (effect.do === "send") line.ask(effect.frame);
  else if (effect.do === "accepted") accepted(effect.turnId);
  else if (effect.do === "refused") {
    line.settle(effect.turnId);
    asking.refused(effect.turnId, effect.text, effect.problem);
  } else if (effect.do === "edit-refused") {
    line.settle(effect.turnId);
    asking.editRefused(effect.turnId, effect.text, effect.problem);
  } else if (effect.do === "problem") {
    if (effect.turnId) line.settle(effect.turnId);
    asking.notSent(effect.problem, effect.turnId ?? "");
  } else if (effect.do === "load-turn") versions.load(effect.turnId);
  else if (effect.do === "branch") {
    if (!versions.switching && thread.turns.at(-1)?.id !== effect.headTurnId) location.reload();
  } else if (effect.do === "finished") finished(effect.generationId);
  else if (effect.do === "budget") budgets.heard(effect.budget);
  else if (effect.do === "rail") railChanged(effect.event);
  else if (effect.do === "say") say(effect.text);
  else if (effect.do === "reload") location.reload();
}

/** @param {string} turnId */
function accepted(turnId) {
  line.settle(turnId);
  lens.offer.settle();
  // What was typed since is a new draft.
  conversation.drafts.write(composer.text);
  if (conversation.id !== location.pathname.split("/")[2]) {
    history.replaceState(null, "", conversation.url || location.href);
    temporary.settle();
  }
  rail.touch(conversation.id);
  say("AI is thinking");
}

/** Text has been shown. */
function flushed() {
  scroll.follow(true);
  const writing = setting("readSentences") ? liveGeneration(thread) : null;
  if (writing) announcer.grown(writing.id, shownText(writing));
}

/** @param {string} generationId */
function finished(generationId) {
  const generation = thread.generations[generationId];
  if (generation.receipt) meter.addReceipt(generation.receipt);
  const text = shownText(generation);
  const words = text.split(/\s+/).filter(Boolean).length;
  if (generation.state === "completed") announcer.ended(generationId, text, `Response complete, ${words} words`);
  else if (generation.state === "stopped") say("Stopped. What came is kept.");
  else announcer.alert(generation.error?.detail ?? "The answer was interrupted.");
  markDone();
}

/** @param {any} event conversation.updated */
function railChanged(event) {
  // A temporary chat has no row.
  if (event.conversation_id !== conversation.id || !conversation.isTemporary) rail.follow(event);
  else if (event.change === "title") title.show(event.title);
  else if (event.change === "deleted") gone();
}

function gone() {
  line.stop();
  if (!composer.text && !document.hidden) location.assign("/");
  else banner.show("This conversation was deleted. Your text is kept.", "bad", "New chat", () => location.assign("/"));
}

// --- What the person does -------------------------------------------------------------

/** @param {string} action @param {string} turnId @param {HTMLElement} pressed */
function act(action, turnId, pressed) {
  const turn = thread.turns.find((other) => other.id === turnId);
  const generation = turn?.generationId ? thread.generations[turn.generationId] : null;
  const button = turnElement(turnId)?.querySelector(`[data-action=${action}]`);
  if (action === "copy" && generation) copy(markdownOf(generation, conversation.url), button, say);
  else if (action === "again" || action === "regenerate") {
    const model = generation?.model || (picker.parameters().model ?? "");
    if (asking.mayAsk() && button instanceof HTMLElement) again.open(turnId, button, model);
  } else if (action === "retry" || action === "continue") asking.again(action, turnId, {});
  else if (action === "stop") asking.stop();
  else if (action === "switch" || action === "schedule") asking.redirect(action, turnId, pressed.dataset.model);
  else if (action === "edit" && turn) asking.edit(turn);
  else if (/^(version|wording)-(previous|next)$/.test(action)) {
    const [kind, step] = action.split("-");
    versions.step(kind === "version" ? "version" : "wording", turnId, step === "next" ? 1 : -1);
  } else if (action === "new_conversation") location.assign("/");
}

copyCodeIn(threadRoot, say);

const lastOf = (/** @type {string} */ selector) => [...threadRoot.querySelectorAll(selector)].at(-1);

listen(one("#help", HTMLDialogElement), {
  search: () => rail.openSearch(),
  newChat: () => location.assign("/"),
  toggleRail: () => document.dispatchEvent(new Event("rail")),
  write: () => composer.field.focus(),
  copyAnswer: () => {
    const turn = thread.turns.findLast((one) => one.generationId);
    if (turn) act("copy", turn.id);
  },
  copyCode: () => copy(lastOf("pre code")?.textContent ?? "", lastOf(".copy-code"), say),
  stop: () => {
    const writing = liveGeneration(thread) !== null;
    if (writing) asking.stop();
    return writing;
  },
});

for (const example of document.querySelectorAll(".example")) {
  example.addEventListener("click", () => composer.write(example.textContent?.trim() ?? ""));
}

/** @param {string} model */
function modelChosen(model) {
  preview.changed();
  lens.changed();
  if (!conversation.id) return;
  request("POST", `${conversation.url}model/`, new URLSearchParams({ model })).catch(() => {});
}

// --- Start ---------------------------------------------------------------------------

view.adopt(thread);
enhance(threadRoot.querySelectorAll(".turn .prose:not([data-raw])"));
composer.text = composer.text || conversation.drafts.read();
composer.setMode(isBusy(thread) ? "stop" : "send");
const waiting = conversation.drafts.readOutbox();
if (waiting && thread.turns.some((turn) => turn.id === idOf(waiting))) conversation.drafts.clearOutbox(idOf(waiting));
if (conversation.id) line.connect();
if (conversation.drafts.readOutbox()) {
  dispatch({ ...waiting, type: waiting.new_turn_id ? "local.edit" : "local.send" });
  if (conversation.id) line.resendOutbox();
  else conversation.open().then(() => line.resendOutbox());
}
preview.changed();
lens.refresh();
setInterval(() => {
  view.tick();
  offer.tick();
  line.tick();
}, 500);
if (matchMedia("(pointer: fine)").matches) composer.field.focus();
scroll.pin();
document.documentElement.dataset.ready = "true";
