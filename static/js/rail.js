// @ts-check
// The list of conversations: rename, pin, archive, delete with undo, search; it follows other tabs.

import { grouped } from "./rail_order.js";
import { fill, newRow, titleOf } from "./rail_row.js";
import { RailSearch } from "./rail_search.js";
import { renameInPlace } from "./rename.js";
import { conversationPage, conversationUrl, request } from "./server.js";
import { Toast } from "./toast.js";

/**
 * @typedef {object} Callbacks
 * @property {() => string} current the id of the conversation on the page
 * @property {(title: string) => void} onTitle its title has changed
 * @property {() => void} onGone it was deleted
 * @property {(text: string) => void} say
 */

export class Rail {
  /** @param {HTMLElement} root the rail's inner part @param {HTMLTemplateElement} template @param {Callbacks} callbacks */
  constructor(root, template, callbacks) {
    this.root = root;
    this.template = template;
    this.callbacks = callbacks;
    this.list = this.#part("rail-list");
    this.found = this.#part("rail-found");
    this.menu = /** @type {HTMLElement} */ (root.querySelector("#rail-menu"));
    /** The row whose menu is open. @type {HTMLElement | null} */
    this.chosen = null;
    /** Deleted here, and the server is not told yet. @type {Set<string>} */
    this.leaving = new Set();
    this.toast = new Toast(this.#part("toast"), {
      onUndone: () => {
        callbacks.say("Undone");
        this.#focusList();
      },
    });
    this.search = new RailSearch(root, {
      template, current: callbacks.current, say: callbacks.say, fail: (text) => this.toast.show(text),
    });
    root.addEventListener("click", (event) => this.#click(event));
    this.menu.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("a")) this.menu.hidePopover();
    });
    this.menu.addEventListener("toggle", () => {
      if (!this.menu.matches(":popover-open")) this.chosen?.querySelector(".rail-more")?.removeAttribute("aria-expanded");
    });
  }

  /** @param {string} name @returns {HTMLElement} */
  #part(name) {
    return /** @type {HTMLElement} */ (this.root.querySelector(`[data-field=${name}]`));
  }

  /** @param {string} id @returns {HTMLElement | null} */
  #row(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  // --- What is told ---------------------------------------------------------------

  /** An event conversation.updated. @param {any} event */
  follow(event) {
    const id = event.conversation_id;
    if (event.change === "title") {
      // Only the first question brings it into the list: what was archived is renamed where it is.
      if (event.listed) this.compare(id, { title: event.title, listed: true });
      this.setTitle(id, event.title);
    } else if (event.change === "pinned") this.#pin(id, event.pinned);
    else if (event.change === "archived") this.#archive(id, event.archived, event.title);
    else if (event.change === "busy") this.#row(id)?.toggleAttribute("data-busy", event.busy);
    else if (event.change === "deleted") {
      this.#remove(id);
      if (id === this.callbacks.current()) this.callbacks.onGone();
    }
  }

  /** As the server has it, where the list may have missed a change. @param {string} id @param {import("./thread.js").InList} told */
  compare(id, { title, pinned, listed }) {
    const row = this.#row(id);
    if (row && !listed) this.#remove(id);
    else if (!row && listed && !this.leaving.has(id)) this.#add(id, title);
    if (row && title && titleOf(row) !== title) this.setTitle(id, title);
    if (pinned !== undefined) this.#pin(id, pinned);
  }

  /** @param {string} id @param {string} title */
  setTitle(id, title) {
    for (const row of this.root.querySelectorAll(`[data-id="${CSS.escape(id)}"]`)) fill(row, id, title);
    if (id === this.callbacks.current()) this.callbacks.onTitle(title);
  }

  /** A question was asked in it: it goes to the top of its day. @param {string} id */
  touch(id) {
    const row = this.#row(id);
    if (!row || row === this.list.querySelector("[data-id]:not([data-pinned])")) return;
    row.dataset.updated = String(Date.now() / 1000);
    row.dataset.group = "Today";
    this.#order();
  }

  /** @param {string} id @param {string} title @param {DOMStringMap} [known] of a row that a search has found */
  #add(id, title, known) {
    const row = newRow(this.template);
    row.dataset.id = id;
    row.dataset.group = known?.group ?? "Today";
    row.dataset.updated = known?.updated ?? String(Date.now() / 1000);
    row.toggleAttribute("data-pinned", known?.pinned !== undefined);
    fill(row, id, title);
    if (id === this.callbacks.current()) row.querySelector("a")?.setAttribute("aria-current", "page");
    this.list.append(row);
    this.#order();
  }

  /** @param {string} id */
  #remove(id) {
    for (const row of this.root.querySelectorAll(`[data-id="${CSS.escape(id)}"]`)) row.remove();
    this.#order();
  }

  /** @param {string} id @param {boolean} pinned */
  #pin(id, pinned) {
    const row = this.#row(id);
    if (!row || row.hasAttribute("data-pinned") === pinned) return;
    row.toggleAttribute("data-pinned", pinned);
    const focused = row.contains(document.activeElement);
    this.#order();
    if (focused) /** @type {HTMLElement | null} */ (row.querySelector(".rail-more"))?.focus();
  }

  /** @param {string} id @param {boolean} archived @param {string} title @param {DOMStringMap} [known] */
  #archive(id, archived, title, known) {
    if (archived) this.#remove(id);
    else if (!this.#row(id)) this.#add(id, title, known);
  }

  /** Put the rows where they belong; headings come and go with their rows. */
  #order() {
    const rows = /** @type {HTMLElement[]} */ ([...this.list.querySelectorAll("[data-id]")]);
    const byId = new Map(rows.map((row) => [row.dataset.id ?? "", row]));
    const groups = grouped(rows.map((row) => ({
      id: row.dataset.id ?? "", group: row.dataset.group ?? "Today",
      updated: Number(row.dataset.updated), pinned: row.hasAttribute("data-pinned"),
    })));
    const parts = groups.flatMap(({ label, ids }) => {
      const heading = document.createElement("h2");
      heading.textContent = label;
      const list = document.createElement("ol");
      list.append(.../** @type {HTMLElement[]} */ (ids.map((id) => byId.get(id))));
      return [heading, list];
    });
    if (!parts.length) {
      const empty = document.createElement("p");
      empty.className = "rail-empty muted";
      empty.textContent = "Your conversations will be listed here.";
      this.list.replaceChildren(empty);
    } else this.list.replaceChildren(...parts);
  }

  // --- What the person does ---------------------------------------------------------

  /** @param {MouseEvent} event */
  #click(event) {
    const button = event.target instanceof Element ? event.target.closest("[data-do]") : null;
    if (!(button instanceof HTMLElement)) return;
    const row = button.closest("[data-id]");
    if (button.dataset.do === "menu" && row instanceof HTMLElement) this.#openMenu(row, button);
    else if (this.chosen) {
      this.menu.hidePopover();
      this.#act(button.dataset.do ?? "", this.chosen);
    }
  }

  /** @param {HTMLElement} row @param {HTMLElement} button */
  #openMenu(row, button) {
    this.chosen = row;
    const pinned = row.hasAttribute("data-pinned");
    const archived = row.hasAttribute("data-archived");
    /** @type {HTMLElement} */ (this.menu.querySelector("[data-do=pin]")).hidden = archived;
    this.#part("pin-word").textContent = pinned ? "Unpin" : "Pin";
    this.#part("archive-do").textContent = archived ? "Take out of the archive" : "Archive";
    this.menu.setAttribute("aria-label", titleOf(row));
    for (const link of this.menu.querySelectorAll("a")) link.href = `${conversationPage(row.dataset.id ?? "")}${link.dataset.file}`;
    button.setAttribute("aria-expanded", "true");
    this.menu.showPopover();
    const place = button.getBoundingClientRect();
    const { offsetHeight, offsetWidth } = this.menu;
    this.menu.style.insetBlockStart = `${Math.max(8, Math.min(place.bottom + 2, innerHeight - offsetHeight - 8))}px`;
    this.menu.style.insetInlineStart = `${Math.max(8, Math.min(place.left, innerWidth - offsetWidth - 8))}px`;
    /** @type {HTMLElement | null} */ (this.menu.querySelector("button:not([hidden])"))?.focus();
  }

  /** @param {string} action @param {HTMLElement} row */
  #act(action, row) {
    const id = row.dataset.id ?? "";
    if (action === "rename") {
      const link = /** @type {HTMLElement} */ (row.querySelector("a"));
      renameInPlace(link, { title: titleOf(row), onSave: (title) => this.rename(id, titleOf(row), title) });
    } else if (action === "pin") {
      const pinned = !row.hasAttribute("data-pinned");
      this.#pin(id, pinned);
      this.#change(id, { pinned }, () => this.#pin(id, !pinned));
      this.toast.show(pinned ? "Pinned" : "Unpinned");
    } else if (action === "archive") this.#toggleArchive(row, id);
    else if (action === "delete") this.#delete(row, id);
  }

  /** @param {string} id @param {string} before @param {string} title */
  rename(id, before, title) {
    this.setTitle(id, title);
    this.#change(id, { title }, () => this.setTitle(id, before));
  }

  /** @param {string} id @param {any} changes @param {() => void} undo */
  #change(id, changes, undo) {
    request("PATCH", conversationUrl(id), changes).catch((error) => {
      undo();
      this.toast.show(error.message);
    });
  }

  /** @param {HTMLElement} row @param {string} id */
  #toggleArchive(row, id) {
    const [archived, title] = [!row.hasAttribute("data-archived"), titleOf(row)];
    const inList = this.list.contains(row);
    this.#archive(id, archived, title, row.dataset);
    if (!inList) row.remove();
    const back = () => {
      if (inList) {
        this.list.append(row);
        this.#order();
      } else this.#archive(id, !archived, title);
    };
    this.#change(id, { archived }, back);
    this.#focusList();
    if (!archived) this.toast.show("Taken out of the archive");
    else this.toast.show("Archived", { cancel: () => (back(), this.#change(id, { archived: false }, () => {})), commit: () => {} });
  }

  /** The row goes at once; the server is told when nobody wants it back. @param {HTMLElement} row @param {string} id */
  #delete(row, id) {
    const list = row.parentElement;
    row.remove();
    this.leaving.add(id);
    if (list && this.list.contains(list)) this.#order();
    const back = () => {
      this.leaving.delete(id);
      if (this.found.contains(list)) list?.append(row);
      else {
        this.list.append(row);
        this.#order();
      }
    };
    this.#focusList();
    this.toast.show("Deleted", {
      cancel: back,
      commit: () => {
        request("DELETE", conversationUrl(id), undefined, { keepalive: true })
          .then(() => id === this.callbacks.current() && this.callbacks.onGone())
          .catch((error) => {
            back();
            this.toast.show(error.message);
          });
      },
    });
  }

  /** Where the rail is hidden, it is shown. */
  openSearch() {
    if (!this.root.checkVisibility()) document.dispatchEvent(new Event("rail"));
    this.search.query.focus();
    this.search.query.select();
  }

  /** The focus is not lost with the row that had it. */
  #focusList() {
    const next = this.root.querySelector(".rail-list:not([hidden]) .rail-item") ?? this.search.query;
    /** @type {HTMLElement} */ (next).focus();
  }
}
