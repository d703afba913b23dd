// @ts-check
// The menu of Regenerate: with which model and how inventive.

import { pair } from "./answer_settings.js";
import { place } from "./place.js";

/** @typedef {{ model: string, temperature?: number }} Parameters */

export class AgainMenu {
  /**
   * @param {HTMLFormElement} form
   * @param {{ onRegenerate: (turnId: string, parameters: Parameters) => void,
   *   price: (turnId: string, model: string) => Promise<string> }} page what it would take, in words
   */
  constructor(form, { onRegenerate, price }) {
    this.form = form;
    this.price = price;
    this.model = /** @type {HTMLSelectElement} */ (form.querySelector("select"));
    this.slider = /** @type {HTMLInputElement} */ (form.querySelector("[type=range]"));
    this.number = /** @type {HTMLInputElement} */ (form.querySelector("[type=number]"));
    this.turnId = "";
    this.model.addEventListener("change", () => {
      this.#reset();
      this.#showPrice();
    });
    pair(this.slider, this.number);
    this.#part("again-reset").addEventListener("click", () => this.#reset());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.hidePopover();
      const temperature = this.#default === "" ? {} : { temperature: Number(this.slider.value) };
      onRegenerate(this.turnId, { model: this.model.value, ...temperature });
    });
  }

  /** @param {string} name @returns {HTMLElement} */
  #part(name) {
    return /** @type {HTMLElement} */ (this.form.querySelector(`[data-field=${name}]`));
  }

  /** "" for a model that takes no temperature. */
  get #default() {
    return this.model.selectedOptions[0]?.dataset.temperature ?? "";
  }

  /** @param {string} turnId @param {HTMLElement} opener @param {string} model */
  open(turnId, opener, model) {
    this.turnId = turnId;
    // A model that the list does not hold can still be asked again.
    if (![...this.model.options].some((option) => option.value === model)) {
      const option = new Option(model, model);
      option.dataset.temperature = this.model.options[0]?.dataset.temperature ?? "0.7";
      this.model.add(option);
    }
    this.model.value = model;
    this.#reset();
    this.form.showPopover();
    place(this.form, opener);
    this.model.focus();
    this.#showPrice();
  }

  /** Of the last model that was chosen. */
  async #showPrice() {
    const asked = [this.turnId, this.model.value];
    const words = await this.price(this.turnId, this.model.value).catch(() => "");
    if (asked[0] === this.turnId && asked[1] === this.model.value) this.#part("again-price").textContent = words;
  }

  #reset() {
    const value = this.#default;
    this.#part("again-temperature").hidden = value === "";
    this.#part("again-none").hidden = value !== "";
    if (value === "") return;
    this.slider.value = value;
    this.number.value = value;
    this.#part("again-value").textContent = value;
    this.form.querySelector("datalist")?.replaceChildren(new Option(value, value));
  }
}
