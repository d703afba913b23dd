// @ts-check
// The chat page: brings thread, line, composer, meter and rail together.

import { adoptPage } from "./adopt.js";
import { AgainMenu } from "./again.js";
import { Announcer } from "./announcer.js";
import { Asking } from "./asking.js";
import { Banner } from "./banner.js";
import { BudgetNews } from "./budget_news.js";
import { CatchUp } from "./catch_up.js";
import { Composer, firstOf } from "./composer.js";
import { copy, copyCodeIn } from "./copying.js";
import { one } from "./elements.js";
import { Effects } from "./effects.js";
import { enhance } from "./enhance.js";
import { Exports } from "./exports.js";
import { Feedback } from "./feedback.js";
import { FoundWords } from "./found_words.js";
import { refuseFiles } from "./files.js";
import { fitAboveKeyboard } from "./keyboard.js";
import { Lens } from "./lens.js";
import { Line } from "./line.js";
import { moveByArrows } from "./menu_keys.js";
import { Meter } from "./meter.js";
import { Offer } from "./offer.js";
import { Older } from "./older.js";
import { OpenConversation, idOf } from "./open_conversation.js";
import { Outline } from "./outline.js";
import { pickerOf } from "./picker.js";
import { Places } from "./places.js";
import { SendPreview } from "./preview.js";
import { previewLine } from "./preview_line.js";
import { Rail } from "./rail.js";
import { keepPreferences } from "./preferences.js";
import { reduce } from "./reduce.js";
import { Removal } from "./removal.js";
import { StickToBottom } from "./scroll.js";
import { conversationUrl, request } from "./server.js";
import { setting } from "./settings.js";
import { listen } from "./shortcuts.js";
import { TemporarySwitch } from "./temporary.js";
import { isBusy } from "./thread.js";
import { ThreadView } from "./thread_view.js";
import { Toast } from "./toast.js";
import { Title } from "./title.js";
import { TurnActions } from "./turn_actions.js";
import { TurnLinks } from "./turn_link.js";
import { TurnMenu } from "./turn_menu.js";
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
const page = {
  root, thread: () => thread, dispatch, say, banner, conversation, before: () => removal.settle(), typed: () => composer.text,
};
const line = new Line(page, one("[data-field=connection]", HTMLElement));
const view = new ThreadView(threadRoot, one("#turn-template", HTMLTemplateElement), {
  onFlush: () => {
    scroll.follow(true);
    effects.shown();
  },
  onAction: (action, turnId, button) => actions.act(action, turnId, button),
});
const composer = new Composer(one(".composer", HTMLFormElement), {
  onSend: (text) => (conversation.isGone ? conversation.leave(text) : asking.send({ text })),
  onStop: () => asking.stop(),
  onInput: (text) => {
    conversation.drafts.write(text);
    line.nudge();
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
  limit: () => composer.limit,
  onPreview: (found) => {
    composer.setRefused(Boolean(found?.refusal));
    if (found) lens.compare(found);
  },
});
const lens = new Lens({
  id: () => conversation.id,
  // It goes into an address.
  text: () => firstOf(composer.text, composer.limit),
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
const again = new AgainMenu(one("#again-menu", HTMLFormElement), {
  onRegenerate: (turnId, parameters) => asking.again("regenerate", turnId, parameters),
  price: async (turnId, model) =>
    previewLine(await request("GET", `${conversation.url}turns/${turnId}/price/?${new URLSearchParams({ model })}`)),
});
const catchUp = new CatchUp({
  url: () => conversation.url,
  thread: () => thread,
  dispatch,
  isGone: (turnId) => removal.gone.has(turnId),
  isSwitching: () => versions.switching,
});
const outline = new Outline({
  url: () => conversation.url, thread: () => thread, revision: Number(root.dataset.revision), dispatch,
});
const toast = new Toast(one("[data-field=turn-toast]", HTMLElement), { onUndone: () => say("Undone") });
const removal = new Removal({ ...page, toast, turnElement });
const menu = new TurnMenu(one("#turn-menu", HTMLElement), { ...page, asking, removal, toast });
const feedback = new Feedback(one("#feedback-menu", HTMLFormElement), page);
const exports = new Exports(one("[data-field=exports]", HTMLElement), conversation);
const links = new TurnLinks({ turnElement, scroll, conversation, banner });
const places = new Places({ scroller, thread: threadRoot, scroll, turnElement, url: () => conversation.url });
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
  onGone: () => effects.gone(),
  say,
});

const effects = new Effects({
  ...page, announcer, asking, budgets, catchUp, composer, exports, lens, line, meter, outline, rail, temporary, title, versions,
});
const actions = new TurnActions({
  ...page, again, asking, feedback, menu, versions, turnElement, parameters: () => picker.parameters(),
});

// --- What happens -------------------------------------------------------------------

/** @param {{ type: string, [field: string]: any }} event */
function dispatch(event) {
  const { thread: next, effects: steps } = reduce(thread, event);
  if (next !== thread) {
    thread = next;
    view.update(thread);
    const busy = isBusy(thread);
    composer.setMode(busy ? "stop" : "send", { ended: !busy && event.type.startsWith("generation.") });
    if (!busy) asking.free();
    document.querySelector(".welcome")?.toggleAttribute("hidden", thread.turns.some((turn) => turn.status !== "refused"));
  }
  for (const effect of steps) effects.carryOut(effect);
  lens.hear(event);
}

// --- What the person does -------------------------------------------------------------

copyCodeIn(threadRoot, say);
keepPreferences(document, (text) => banner.show(text, "bad"));
refuseFiles((text) => banner.show(text, "bad"));
fitAboveKeyboard();
moveByArrows(document);
addEventListener("storage", (event) => {
  if (conversation.drafts.isGone(event, composer.text)) composer.replace("");
});

const lastOf = (/** @type {string} */ selector) => [...threadRoot.querySelectorAll(selector)].at(-1);

listen(one("#help", HTMLDialogElement), {
  search: () => rail.openSearch(),
  newChat: () => location.assign("/"),
  toggleRail: () => document.dispatchEvent(new Event("rail")),
  write: () => composer.field.focus(),
  copyAnswer: () => {
    const turn = thread.turns.findLast((one) => one.generationId);
    if (turn) actions.act("copy", turn.id);
  },
  copyCode: () => copy(lastOf("pre code")?.textContent ?? "", lastOf(".copy-code"), say),
  stop: () => asking.stop(),
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
  budgets.tick();
}, 500);
const isBack = places.restore();
if (isBack || !links.follow()) {
  if (!matchMedia("(pointer: coarse)").matches) composer.field.focus();
  if (!isBack) scroll.pin();
}
new FoundWords({ turnElement, scroll, conversation, banner }).show(isBack);
document.documentElement.dataset.ready = "true";
