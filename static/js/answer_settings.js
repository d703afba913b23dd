// @ts-check
// How the next answers are to be: how inventive, how long at most. What is left alone is as the model is set.

/** A slider and a number that say the same. @param {HTMLInputElement} slider @param {HTMLInputElement} number @param {() => void} [onInput] */
export function pair(slider, number, onInput = () => {}) {
  slider.addEventListener("input", () => {
    number.value = slider.value;
    onInput();
  });
  number.addEventListener("input", () => {
    if (!number.validity.valid || !number.value) return;
    slider.value = number.value;
    onInput();
  });
}

export class AnswerSettings {
  /** @param {HTMLElement} root the picker @param {() => void} onChange */
  constructor(root, onChange) {
    const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (root.querySelector(`[data-field=answer-${name}]`));
    this.root = root;
    this.onChange = onChange;
    this.temperature = part("temperature");
    this.slider = /** @type {HTMLInputElement} */ (this.temperature.querySelector("[type=range]"));
    this.number = /** @type {HTMLInputElement} */ (this.temperature.querySelector("[type=number]"));
    this.length = /** @type {HTMLInputElement} */ (part("length"));
    this.reset = part("reset");
    pair(this.slider, this.number, () => this.#changed());
    this.length.addEventListener("input", () => this.#changed());
    this.reset.addEventListener("click", () => {
      this.modelChosen();
      onChange();
    });
    this.modelChosen();
  }

  get #model() {
    const chosen = this.root.querySelector("[name=model]:checked");
    return chosen instanceof HTMLInputElement ? chosen.dataset : {};
  }

  /** Another model has other limits: back to what it is set to. */
  modelChosen() {
    const { temperature = "", length = "", longest = "" } = this.#model;
    this.temperature.hidden = temperature === "";
    this.slider.value = temperature;
    this.number.value = temperature;
    this.length.value = "";
    this.length.placeholder = length;
    this.length.max = longest;
    this.#mark();
  }

  /** Only what differs from the model's own. @returns {{ temperature?: number, max_output_tokens?: number }} */
  parameters() {
    const { temperature = "" } = this.#model;
    const { length, number } = this;
    return {
      ...(temperature !== "" && number.value && number.validity.valid && Number(number.value) !== Number(temperature)
        ? { temperature: Number(number.value) } : {}),
      ...(length.value && length.validity.valid ? { max_output_tokens: Number(length.value) } : {}),
    };
  }

  #changed() {
    this.#mark();
    this.onChange();
  }

  #mark() {
    const isSet = Object.keys(this.parameters()).length > 0;
    this.reset.hidden = !isSet;
    this.root.toggleAttribute("data-set", isSet);
  }
}
