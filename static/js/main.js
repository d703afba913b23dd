// @ts-check
// The chat page: brings socket, thread, composer and meter together.

import { AgainMenu } from "./again.js";
import { Composer } from "./composer.js";
import { Drafts } from "./drafts.js";
import { editQuestion } from "./edit.js";
import { enhance } from "./enhance.js";
import { Meter, warningText } from "./meter.js";
import { Offer } from "./offer.js";
import { Older } from "./older.js";
import { pickerOf } from "./picker.js";
import { PlainSender } from "./plain.js";
import { SendPreview } from "./preview.js";
import { Rail } from "./rail.js";
import { renameInPlace } from "./rename.js";
import { StickToBottom } from "./scroll.js";
import { conversationUrl, request } from "./server.js";
import { ConversationSocket } from "./socket.js";
import { adoptPage } from "./adopt.js";
import { isBusy, liveGeneration, reduce, shownText } from "./thread.js";
import { ThreadView } from "./thread_view.js";
import { Versions } from "./versions.js";

const BLOCKED_AFTER_ATTEMPTS = 3;

/** @template {Element} T @param {string} selector @param {new () => T} type @returns {T} */
function one(selector, type) {
  const element = document.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`${selector} is missing`);
  return element;
}

const chat = one(".chat", HTMLElement);
const threadRoot = one(".thread", HTMLElement);
const live = one("#live", HTMLElement);
const banner = one("[data-field=banner]", HTMLElement);
const connection = one("[data-field=connection]", HTMLElement);
const meter = new Meter(one(".meter", HTMLElement));
const picker = pickerOf(one(".picker", HTMLElement), modelChosen);
const scroll = new StickToBottom(one(".thread-scroll", HTMLElement), one(".jump", HTMLElement));
let conversationId = chat.dataset.conversation ?? "";
let drafts = new Drafts(conversationId || "new");

let thread = adoptPage(threadRoot);
const view = new ThreadView(threadRoot, one("#turn-template", HTMLTemplateElement), {
  onFlush: () => scroll.follow(true),
  onAction: act,
});
const composer = new Composer(one(".composer", HTMLFormElement), {
  onSend: send,
  onStop: stop,
  onInput: (text) => {
    drafts.write(text);
    preview.changed();
    if (text && !conversationId) openConversation();
  },
  say,
});

const preview = new SendPreview(one("[data-field=preview]", HTMLElement), {
  text: () => composer.text,
  url: () => (conversationId && chat.dataset.url) || "",
  parameters: () => picker.parameters(),
  isTooLong: () => composer.isTooLong,
});
new Older(one("[data-field=older]", HTMLAnchorElement), {
  scroller: one(".thread-scroll", HTMLElement),
  url: () => chat.dataset.url ?? "",
  first: () => {
    const id = thread.turns[0]?.id;
    const element = id && threadRoot.querySelector(`[data-turn-id="${id}"]`);
    return element ? { id, element } : null;
  },
  show: (turns, around) => scroll.keep(around, () => dispatch({ type: "local.older", turns })),
  say,
});
const offer = new Offer(one("[data-field=offer]", HTMLElement));
const versions = new Versions(threadRoot, {
  url: () => chat.dataset.url ?? "",
  thread: () => thread,
  dispatch,
  keep: (element, change) => scroll.keep(element, change),
  say,
  fail: (text) => showBanner(text, "bad"),
});
const again = new AgainMenu(one("#again-menu", HTMLFormElement), regenerate);
const titleButton = one("[data-field=title]", HTMLButtonElement);
const rail = new Rail(one(".rail-inner", HTMLElement), one("#rail-template", HTMLTemplateElement), {
  current: () => conversationId,
  onTitle: showTitle,
  onGone: gone,
  say,
});

/** @type {ConversationSocket | null} */
let socket = null;

/** One polite sentence for screen readers; never the words of the answer. @param {string} text */
function say(text) {
  live.textContent = text;
}

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
}

/** @param {import("./thread.js").Effect} effect */
function carryOut(effect) {
  if (effect.do === "send") ask(effect.frame);
  else if (effect.do === "accepted") {
    socket?.settle(effect.turnId);
    drafts.clearOutbox(effect.turnId);
    // What was typed since is a new draft.
    drafts.write(composer.text);
    if (chat.dataset.conversation !== location.pathname.split("/")[2]) {
      history.replaceState(null, "", chat.dataset.url ?? location.href);
      temporarySwitch?.toggleAttribute("disabled", true);
      temporarySwitch?.toggleAttribute("hidden", !isTemporary());
    }
    rail.touch(conversationId);
    say("AI is thinking");
  } else if (effect.do === "refused") {
    socket?.settle(effect.turnId);
    drafts.clearOutbox(effect.turnId);
    composer.text = composer.text ? `${effect.text}\n${composer.text}` : effect.text;
    drafts.write(composer.text);
    notSent(effect.problem, effect.turnId);
  } else if (effect.do === "edit-refused") {
    socket?.settle(effect.turnId);
    drafts.clearOutbox(effect.turnId);
    const edited = thread.turns.find((turn) => turn.siblings?.includes(effect.turnId) || turn.id === editedBy.get(effect.turnId));
    notSent(effect.problem, effect.turnId, () => edited && edit(edited, effect.text));
  } else if (effect.do === "load-turn") versions.load(effect.turnId);
  else if (effect.do === "branch") {
    if (!versions.switching && thread.turns.at(-1)?.id !== effect.headTurnId) location.reload();
  } else if (effect.do === "finished") finished(effect.generationId);
  else if (effect.do === "budget") budgetChanged(effect.budget);
  else if (effect.do === "rail") railChanged(effect.event);
  else if (effect.do === "problem") {
    if (effect.turnId) socket?.settle(effect.turnId);
    notSent(effect.problem, effect.turnId ?? "");
  } else if (effect.do === "reload") location.reload();
}

/** @param {string} generationId */
function finished(generationId) {
  const generation = thread.generations[generationId];
  if (generation.receipt) meter.addReceipt(generation.receipt);
  const words = shownText(generation).split(/\s+/).filter(Boolean).length;
  if (generation.state === "completed") say(`Response complete, ${words} words`);
  else if (generation.state === "stopped") say("Stopped. What came is kept.");
  else say(generation.error?.detail ?? "The answer was interrupted.");
  if (document.hidden) document.title = `(done) ${document.title.replace(/^\(done\) /, "")}`;
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) document.title = document.title.replace(/^\(done\) /, "");
});

// --- What the person does ---------------------------------------------------------

/** @param {string} text */
function send(text) {
  sendQuestion({ text });
}

/** Every frame that asks for an answer, by the id that the server will name: a refused one may be sent otherwise. @type {Map<string, any>} */
const asked = new Map();

const plain = new PlainSender({ id: () => conversationId, dispatch });

/** No socket was ever opened here, though it was tried: something between us does not let them through. */
const isBlocked = () => socket !== null && !socket.opened && socket.attempt >= BLOCKED_AFTER_ATTEMPTS;

/** @param {any} frame */
function ask(frame) {
  if (frame.type !== "stream.resume" && frame.type !== "turn.stop") asked.set(idOf(frame), frame);
  const isSent = socket?.send(frame);
  if (!isSent && isBlocked() && plain.takes(frame)) plain.send(frame);
  return isSent;
}

/** @param {{ text: string, turn_id?: string, [field: string]: any }} order */
function sendQuestion(order) {
  hideBanner();
  offer.hide();
  const { text } = order;
  const frame = { type: "turn.create", turn_id: crypto.randomUUID(), ...picker.parameters(), ...order };
  drafts.writeOutbox(frame);
  dispatch({ type: "local.send", turn_id: frame.turn_id, text });
  composer.text = "";
  preview.changed();
  scroll.pin();
  if (socket) ask(frame);
  else openConversation().then(() => ask(frame));
}

/**
 * A message was refused: say why, and offer what helps.
 * @param {import("./thread.js").Problem} problem @param {string} id of the frame @param {() => void} [giveBack] the text to where it came from
 */
function notSent(problem, id, giveBack = () => {}) {
  const frame = asked.get(id);
  say(problem.detail);
  preview.changed();
  if (!frame || !problem.options?.length) {
    showBanner(problem.detail, "bad");
    giveBack();
    return;
  }
  const options = frame.type === "turn.edit" && problem.code !== "confirm_required"
    ? [...problem.options, { action: "cancel", label: "Keep editing" }] : problem.options;
  offer.show({ ...problem, options }, (option) => {
    offer.hide();
    composer.field.focus();
    if (option.action === "cancel") giveBack();
    else if (option.action === "new_conversation") moveDraft(frame.text ?? "");
    else if (option.action === "model" && option.model) askOtherwise(frame, { model: option.model });
    else if (option.action === "shorter_answer") {
      // It fills the budget, and that is what was chosen: no further question.
      askOtherwise(frame, { max_output_tokens: option.max_output_tokens, confirm: true });
    }
    else if (option.action === "confirm") askOtherwise(frame, { confirm: true });
  }, () => {
    offer.hide();
    giveBack();
    showBanner("The budget has been reset. You can send again.", "good");
    say("The budget has been reset");
    preview.changed();
  });
}

/** The same once more, with something changed; nothing of the refused one was kept. @param {any} frame @param {Record<string, any>} changes */
function askOtherwise(frame, changes) {
  const { type, ...fields } = { ...frame, ...changes };
  if (type === "turn.create") {
    // What has been typed since belongs to it; another text is another question.
    const text = composer.text.trim() ? composer.text : fields.text;
    sendQuestion({ ...fields, text, turn_id: text === frame.text ? fields.turn_id : crypto.randomUUID() });
  } else if (type === "turn.edit") resend(fields.turn_id, fields.text, fields);
  else askAgain(changes.model ? "regenerate" : type.slice("turn.".length), fields.turn_id, fields);
}

/** @param {string} text */
function moveDraft(text) {
  const fresh = new Drafts("new");
  fresh.write(composer.text || text);
  drafts.write("");
  location.assign("/");
}

function stop() {
  if (liveGeneration(thread)) dispatch({ type: "local.stop" });
  else {
    const turn = thread.turns.at(-1);
    if (turn?.status === "sending") socket?.send({ type: "turn.stop", turn_id: turn.id });
  }
}

/** @param {string} action @param {string} turnId */
function act(action, turnId) {
  const turn = thread.turns.find((other) => other.id === turnId);
  const element = threadRoot.querySelector(`[data-turn-id="${turnId}"]`);
  if (action === "copy") {
    const generation = turn?.generationId ? thread.generations[turn.generationId] : null;
    if (generation) copy(textOf(generation), element?.querySelector("[data-action=copy]"));
  } else if (action === "again" || action === "regenerate") {
    const generation = turn?.generationId ? thread.generations[turn.generationId] : null;
    const opener = element?.querySelector(`[data-action=${action}]`);
    if (isBusy(thread)) showBanner("An answer is being written. Stop it or wait for its end.", "bad");
    else if (opener instanceof HTMLElement) again.open(turnId, opener, generation?.model || (picker.parameters().model ?? ""));
  } else if (action === "retry" || action === "continue") askAgain(action, turnId, {});
  else if (action === "edit" && turn) edit(turn, turn.text);
  else if (/^(version|wording)-(previous|next)$/.test(action)) {
    const [kind, step] = action.split("-");
    versions.step(kind === "version" ? "version" : "wording", turnId, step === "next" ? 1 : -1);
  } else if (action === "new_conversation") location.assign("/");
}

/** @param {string} kind retry, continue or regenerate @param {string} turnId @param {Record<string, any>} parameters */
function askAgain(kind, turnId, parameters) {
  hideBanner();
  offer.hide();
  dispatch({ turn_id: turnId, generation_id: crypto.randomUUID(), ...parameters, type: `local.${kind}` });
  if (thread.turns.at(-1)?.id === turnId) scroll.pin();
}

/** @param {string} turnId @param {import("./again.js").Parameters} parameters */
function regenerate(turnId, parameters) {
  askAgain("regenerate", turnId, parameters);
}

/** Which turn a new wording was made from, should it be refused. @type {Map<string, string>} */
const editedBy = new Map();

/** @param {import("./thread.js").Turn} turn @param {string} text */
function edit(turn, text) {
  const element = threadRoot.querySelector(`[data-turn-id="${turn.id}"]`);
  if (!(element instanceof HTMLElement)) return;
  if (isBusy(thread)) showBanner("An answer is being written. Stop it or wait for its end.", "bad");
  else editQuestion(element, { text, limit: composer.limit, onSend: (wanted) => resend(turn.id, wanted) });
}

/** Ask a question in other words. @param {string} turnId @param {string} text @param {Record<string, any>} [changes] */
function resend(turnId, text, changes = {}) {
  hideBanner();
  offer.hide();
  const frame = {
    new_turn_id: crypto.randomUUID(), ...picker.parameters(), ...changes, type: "turn.edit", turn_id: turnId, text,
  };
  editedBy.set(frame.new_turn_id, turnId);
  drafts.writeOutbox(frame);
  dispatch({ ...frame, type: "local.edit" });
  composer.field.focus();
  scroll.pin();
  ask(frame);
}

/** The Markdown of an answer: known if it was streamed here, else asked for. @param {import("./thread.js").Generation} generation */
async function textOf(generation) {
  if (generation.text) return shownText(generation);
  const response = await fetch(`${chat.dataset.url}answers/${generation.id}.md`);
  if (!response.ok) throw new Error(`${response.status}`);
  return response.text();
}

/** @param {string | Promise<string>} text @param {Element | null | undefined} button */
async function copy(text, button) {
  let word = "Copied";
  try {
    await navigator.clipboard.writeText(await text);
  } catch {
    word = "Copying did not work";
  }
  say(word);
  const label = button?.querySelector("[data-field=label]") ?? button;
  if (!label) return;
  const before = label.textContent;
  label.textContent = word;
  setTimeout(() => {
    label.textContent = before;
  }, 1600);
}

threadRoot.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest(".copy-code") : null;
  if (button) copy(button.closest("pre")?.querySelector("code")?.textContent ?? "", button);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
  if (document.querySelector("dialog[open], details.popup[open], :popover-open")) return;
  if (liveGeneration(thread)) stop();
});

for (const example of document.querySelectorAll(".example")) {
  example.addEventListener("click", () => {
    composer.text = example.textContent?.trim() ?? "";
    drafts.write(composer.text);
    composer.field.focus();
    preview.changed();
    if (!conversationId) openConversation();
  });
}

// --- Connection --------------------------------------------------------------------

/** @type {Promise<void> | null} */
let opening = null;

/** A new chat gets its conversation when the first letter is typed, so that sending needs no round trip more. */
function openConversation() {
  opening ??= createConversation().catch(() => {
    opening = null;
    showBanner("The server cannot be reached. Your text is kept.", "bad");
    setTimeout(() => openConversation().then(resendOutbox), 3000);
    return undefined;
  });
  return opening;
}

async function createConversation() {
  const kind = new URLSearchParams(isTemporary() ? { temporary: "1" } : {});
  const made = await request("POST", chat.dataset.createUrl ?? "", kind);
  conversationId = made.id;
  const typed = { draft: drafts.read(), outbox: drafts.readOutbox() };
  drafts.write("");
  if (typed.outbox) drafts.clearOutbox(idOf(typed.outbox));
  drafts = new Drafts(conversationId);
  drafts.write(typed.draft);
  if (typed.outbox) drafts.writeOutbox(typed.outbox);
  chat.dataset.conversation = made.id;
  chat.dataset.url = made.url;
  hideBanner();
  preview.changed();
  connect();
}

/** The id that the server will answer with. @param {any} frame */
const idOf = (frame) => frame.new_turn_id ?? frame.turn_id;

function resendOutbox() {
  const frame = drafts.readOutbox();
  if (frame && socket && !socket.unanswered.has(idOf(frame))) ask(frame);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const url = `${scheme}://${location.host}/ws/conversations/${conversationId}/`;
  socket = new ConversationSocket(url, { onEvent: dispatch, onStatus: showConnection });
  socket.start();
}

let connectedOnce = false;

/** @param {import("./socket.js").Status} status */
function showConnection(status) {
  chat.dataset.connection = status;
  if (status === "open") {
    connection.hidden = true;
    if (banner.dataset.kind === "connection") hideBanner();
    if (connectedOnce) say("Connected again");
    connectedOnce = true;
    dispatch({ type: "local.connected" });
  } else if (status === "waiting") {
    connection.hidden = false;
    if (isBlocked()) {
      showBanner("No live connection here. Answers come by plain requests.", "connection", "Retry now", () => socket?.retryNow());
      for (const frame of socket?.unanswered.values() ?? []) if (plain.takes(frame)) plain.send(frame);
      if (socket && socket.attempt === BLOCKED_AFTER_ATTEMPTS) findReason();
      return;
    }
    const queued = thread.turns.at(-1)?.status === "sending" ? " Your question is kept and will be sent." : "";
    showBanner(`Connection lost. Nothing is lost: we keep trying.${queued}`, "connection", "Retry now", () => socket?.retryNow());
    if (connectedOnce) say("Connection lost, reconnecting");
    connectedOnce = false;
    if (socket && socket.attempt > 1) findReason();
  } else if (status === "refused") {
    connection.hidden = false;
    showBanner("You are signed out here. Your text is kept.", "bad", "Sign in", () => location.reload());
  }
}

/** A handshake is refused without a reason; the page's own address tells it. */
async function findReason() {
  const url = chat.dataset.url;
  if (!url) return;
  const response = await fetch(url, { method: "HEAD", redirect: "manual" }).catch(() => null);
  if (response?.type === "opaqueredirect") {
    socket?.stop();
    showConnection("refused");
  } else if (response?.status === 404) {
    socket?.stop();
    showBanner("This conversation does not exist any more. Your text is kept.", "bad", "New chat", () => location.assign("/"));
  }
}

// --- Small things ---------------------------------------------------------------------

/** @param {string} text @param {string} kind @param {string} [label] @param {() => void} [action] */
function showBanner(text, kind, label, action) {
  banner.dataset.kind = kind;
  banner.classList.toggle("bad", kind === "bad");
  one("[data-field=banner-text]", HTMLElement).textContent = text;
  const button = one("[data-field=banner-action]", HTMLButtonElement);
  button.hidden = !label;
  button.textContent = label ?? "";
  button.onclick = action ?? null;
  banner.hidden = false;
}

function hideBanner() {
  banner.hidden = true;
  delete banner.dataset.level;
}

const warned = new Set();

/** @param {any} budget */
function budgetChanged(budget) {
  meter.update(budget);
  preview.changed();
  if (budget.level === "ok") return;
  const key = [budget.scope, budget.unit, budget.period, budget.level, budget.resets_at].join();
  if (warned.has(key)) return;
  warned.add(key);
  const text = warningText(budget, Date.now());
  showBanner(text, budget.level === "100" ? "bad" : "budget");
  banner.dataset.level = budget.level;
  say(text);
}

/** @param {any} event conversation.updated */
function railChanged(event) {
  // A temporary chat has no row.
  if (event.conversation_id !== conversationId || !isTemporary()) rail.follow(event);
  else if (event.change === "title") showTitle(event.title);
  else if (event.change === "deleted") gone();
}

function gone() {
  socket?.stop();
  if (!composer.text && !document.hidden) location.assign("/");
  else showBanner("This conversation was deleted. Your text is kept.", "bad", "New chat", () => location.assign("/"));
}

/** @param {string} text */
function showTitle(text) {
  titleButton.textContent = text;
  titleButton.disabled = false;
  document.title = `${text} · Chatsite`;
}

titleButton.addEventListener("click", () => {
  const title = titleButton.textContent ?? "";
  renameInPlace(titleButton, { title, onSave: (wanted) => rename(title, wanted) });
});

/** @param {string} before @param {string} title */
function rename(before, title) {
  showTitle(title);
  if (isTemporary()) request("PATCH", conversationUrl(conversationId), { title }).catch((error) => showBanner(error.message, "bad"));
  else rail.rename(conversationId, before, title);
}

// --- Temporary chats --------------------------------------------------------------------

const isTemporary = () => chat.hasAttribute("data-temporary");
const temporarySwitch = document.querySelector("[data-field=temporary-switch]");

temporarySwitch?.addEventListener("click", () => {
  const temporary = chat.toggleAttribute("data-temporary");
  temporarySwitch.setAttribute("aria-pressed", String(temporary));
  say(temporary ? "This chat is temporary" : "This chat will be kept");
  composer.field.focus();
  if (!conversationId) return;
  // The empty one that typing has made is of the other kind: another takes its place.
  socket?.stop();
  socket = null;
  opening = null;
  openConversation();
});

/** @param {string} model */
function modelChosen(model) {
  preview.changed();
  if (!conversationId) return;
  request("POST", `${chat.dataset.url}model/`, new URLSearchParams({ model })).catch(() => {});
}

// --- Start ---------------------------------------------------------------------------

view.adopt(thread);
enhance(threadRoot.querySelectorAll(".turn .prose:not([data-raw])"));
composer.text = composer.text || drafts.read();
composer.setMode(isBusy(thread) ? "stop" : "send");
const waitingFrame = drafts.readOutbox();
if (waitingFrame && thread.turns.some((turn) => turn.id === idOf(waitingFrame))) drafts.clearOutbox(idOf(waitingFrame));
if (conversationId) connect();
if (drafts.readOutbox()) {
  dispatch({ ...waitingFrame, type: waitingFrame.new_turn_id ? "local.edit" : "local.send" });
  if (conversationId) resendOutbox();
  else openConversation().then(resendOutbox);
}
preview.changed();
setInterval(() => {
  view.tick();
  offer.tick();
}, 500);
if (matchMedia("(pointer: fine)").matches) composer.field.focus();
scroll.pin();
document.documentElement.dataset.ready = "true";
