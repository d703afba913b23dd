// @ts-check
// Search over titles and texts, and the archive: what is found stands in the place of the list.

import { isComposed } from "./composing.js";
import { fill, marked, newRow, titleOf } from "./rail_row.js";
import { request } from "./server.js";

const DELAY_MS = 200;

/**
 * @typedef {object} Page
 * @property {HTMLTemplateElement} template of a row @property {() => string} current the conversation on the page
 * @property {(text: string) => void} say @property {(text: string) => void} fail
 */

export class RailSearch {
  /** @param {HTMLElement} root the rail's inner part @param {Page} page */
  constructor(root, page) {
    const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (root.querySelector(`[data-field=${name}]`));
    this.page = page;
    this.form = /** @type {HTMLFormElement} */ (root.querySelector(".rail-search"));
    this.query = /** @type {HTMLInputElement} */ (this.form.querySelector("input"));
    this.list = part("rail-list");
    this.found = part("rail-found");
    this.heading = part("found-heading");
    this.rows = part("found-rows");
    this.none = part("found-none");
    this.archiveLink = part("archive-link");
    this.archiveWord = part("archive-word");
    this.searches = 0;
    this.#wire(root);
  }

  /** @param {HTMLElement} root */
  #wire(root) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    this.query.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.find(this.query.value.trim()), DELAY_MS);
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.find(this.query.value.trim());
    });
    this.query.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" && !isComposed(event)) {
        const first = root.querySelector(".rail-list:not([hidden]) .rail-item");
        if (first instanceof HTMLElement) first.focus();
        event.preventDefault();
      }
      if (event.key !== "Escape" || !this.query.value) return;
      event.preventDefault();
      event.stopPropagation();
      this.query.value = "";
      this.find("");
    });
    this.archiveLink.addEventListener("click", (event) => {
      event.preventDefault();
      this.query.value = "";
      if (this.found.hidden || this.heading.textContent === "Found") this.find("", true);
      else this.find("");
    });
  }

  /** @param {string} query @param {boolean} [archived] */
  async find(query, archived = false) {
    const number = (this.searches += 1);
    if (!query && !archived) {
      this.found.hidden = true;
      this.list.hidden = false;
      this.archiveWord.textContent = "Archived";
      return;
    }
    const parameters = new URLSearchParams(archived ? { archived: "1" } : { q: query });
    try {
      const { results } = await request("GET", `${this.form.dataset.url}?${parameters}`);
      // A later search may have been answered before.
      if (number === this.searches) this.#show(results, query, archived);
    } catch (error) {
      this.page.fail(/** @type {Error} */ (error).message);
    }
  }

  /** @param {any[]} results @param {string} query @param {boolean} archived */
  #show(results, query, archived) {
    const rows = results.map((one) => {
      const row = newRow(this.page.template);
      row.dataset.id = one.id;
      row.toggleAttribute("data-archived", one.archived);
      row.dataset.group = one.group;
      row.dataset.updated = String(one.updated);
      row.toggleAttribute("data-pinned", one.pinned);
      row.dataset.place = one.url;
      fill(row, one.id, one.title);
      if (one.id === this.page.current()) row.querySelector("a")?.setAttribute("aria-current", "page");
      if (one.snippet) {
        const snippet = document.createElement("span");
        snippet.className = "snippet";
        snippet.append(...marked(one.snippet, query));
        row.querySelector("a")?.append(snippet);
      }
      row.querySelector("[data-field=row-title]")?.replaceChildren(...marked(titleOf(row), query));
      return row;
    });
    this.heading.textContent = archived ? "Archived" : "Found";
    this.rows.replaceChildren(...rows);
    this.none.textContent = archived ? "Nothing is archived." : `No conversation has “${query}” in its title or its text.`;
    this.none.hidden = rows.length > 0;
    this.archiveWord.textContent = archived ? "All conversations" : "Archived";
    this.found.hidden = false;
    this.list.hidden = true;
    this.page.say(`${rows.length} ${rows.length === 1 ? "conversation" : "conversations"}`);
  }
}
