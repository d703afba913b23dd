// @ts-check
// Switching between versions of an answer and wordings of a question: asks the server, then shows it.

import { request } from "./server.js";

/**
 * @typedef {object} Page
 * @property {() => string} url of the conversation, with a slash at its end
 * @property {() => import("./thread.js").Thread} thread
 * @property {(event: any) => void} dispatch
 * @property {(element: Element, change: () => void) => void} keep change the page around an element that stays
 * @property {(text: string) => void} say @property {(text: string) => void} fail
 */

export class Versions {
  /** @param {HTMLElement} root @param {Page} page */
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.switching = false;
  }

  /** @param {string} turnId */
  #turn(turnId) {
    return this.page.thread().turns.find((turn) => turn.id === turnId);
  }

  /** @param {string} turnId */
  #element(turnId) {
    return this.root.querySelector(`[data-turn-id="${CSS.escape(turnId)}"]`);
  }

  /** @param {"version" | "wording"} kind @param {string} turnId @param {number} step -1 or 1 */
  async step(kind, turnId, step) {
    const turn = this.#turn(turnId);
    const ids = (kind === "version" ? turn?.versions : turn?.siblings) ?? [];
    const at = ids.indexOf((kind === "version" ? turn?.generationId : turnId) ?? "");
    const wanted = ids[at + step];
    if (!wanted || this.switching) return;
    this.switching = true;
    try {
      if (kind === "version") await this.#version(turnId, wanted);
      else await this.#wording(turnId, wanted, step);
      this.page.say(`Version ${at + step + 1} of ${ids.length}`);
    } catch (error) {
      this.page.fail(/** @type {Error} */ (error).message);
    } finally {
      this.switching = false;
    }
  }

  /** @param {string} turnId @param {string} generationId */
  async #version(turnId, generationId) {
    const { turn } = await request("POST", `${this.page.url()}answers/${generationId}/choose/`);
    this.#show(turnId, { type: "local.version", turn }, "[data-field=versions]");
  }

  /** @param {string} turnId @param {string} siblingId @param {number} step */
  async #wording(turnId, siblingId, step) {
    const { turns, whole } = await request("POST", `${this.page.url()}turns/${siblingId}/choose/`);
    if (!whole) {
      location.reload();
      return;
    }
    const top = this.#element(turnId)?.previousElementSibling ?? this.root;
    this.page.keep(top, () => this.page.dispatch({ type: "local.branch", at: turnId, turns }));
    const name = step < 0 ? "wording-previous" : "wording-next";
    /** @type {HTMLElement | null | undefined} */ (this.#element(siblingId)?.querySelector(`[data-action=${name}]`))?.focus();
  }

  /** @param {string} turnId @param {any} event @param {string} selector what stays where it is */
  #show(turnId, event, selector) {
    const element = this.#element(turnId)?.querySelector(selector) ?? this.root;
    this.page.keep(element, () => this.page.dispatch(event));
  }

  /** Another tab has switched, or made one: `isNews`. @param {string} turnId @param {boolean} [isNews] */
  async load(turnId, isNews = false) {
    const found = await request("GET", `${this.page.url()}turns/${turnId}/`).catch(() => null);
    if (found) this.#show(turnId, { type: "local.version", turn: found.turn, isNews }, "[data-field=question]");
  }
}
