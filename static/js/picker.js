// @ts-check
// The model picker of the status bar: a group of radio buttons in a popup.

import { AnswerSettings } from "./answer_settings.js";
import { modelName } from "./format.js";

/** A model as the picker calls it. @param {string} model */
export function modelLabel(model) {
  const inputs = document.querySelectorAll("input[name=model]");
  const found = [...inputs].find((input) => input instanceof HTMLInputElement && input.value === model);
  return found instanceof HTMLInputElement && found.dataset.label || modelName(model);
}

/**
 * @param {HTMLElement} root
 * @param {{ onModel: (model: string) => void, onSettings: () => void }} callbacks
 */
export function pickerOf(root, { onModel, onSettings }) {
  const settings = new AnswerSettings(root, onSettings);
  const name = root.querySelector("[data-field=model-name]");
  root.addEventListener("change", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || input.name !== "model") return;
    settings.modelChosen();
    if (name) name.textContent = input.dataset.label ?? input.value;
    onModel(input.value);
  });
  // A click chooses and closes; arrow keys choose and stay (they click too, without a pointer).
  root.addEventListener("click", (event) => {
    if (event instanceof PointerEvent && event.pointerType && event.target instanceof HTMLInputElement && event.target.name === "model") {
      root.removeAttribute("open");
      document.querySelector("textarea")?.focus();
    }
  });
  return {
    open() {
      root.setAttribute("open", "");
      const chosen = root.querySelector("input:checked");
      if (chosen instanceof HTMLElement) chosen.focus();
    },
    /** What a question is sent with. @returns {{ model?: string, temperature?: number, max_output_tokens?: number }} */
    parameters() {
      const chosen = root.querySelector("input:checked");
      return chosen instanceof HTMLInputElement ? { model: chosen.value, ...settings.parameters() } : {};
    },
  };
}
