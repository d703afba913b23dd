// @ts-check
// The model picker of the status bar: a group of radio buttons in a popup.

import { AnswerSettings } from "./answer_settings.js";
import { modelName } from "./format.js";
import { request } from "./server.js";

/** A model as the picker calls it. @param {string} model */
export function modelLabel(model) {
  const inputs = document.querySelectorAll("input[name=model]");
  const found = [...inputs].find((input) => input instanceof HTMLInputElement && input.value === model);
  return found instanceof HTMLInputElement && found.dataset.label || modelName(model);
}

/** @param {EventTarget | null} target @returns {target is HTMLInputElement} */
const isModel = (target) => target instanceof HTMLInputElement && target.name === "model";

/** Which models would not answer now: asked when somebody looks. @param {HTMLElement} root */
async function showKeptBack(root) {
  const inputs = [...root.querySelectorAll("input")].filter(isModel);
  const models = new URLSearchParams(inputs.map((input) => ["model", input.value]));
  // Who is out of reach learns nothing here; the question itself says what is wrong.
  const { kept_back } = await request("GET", `${root.dataset.url}?${models}`).catch(() => ({ kept_back: {} }));
  for (const input of inputs) {
    const words = input.parentElement?.querySelector(".kept-back");
    if (words) words.textContent = kept_back[input.value] ?? "";
  }
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
    if (!isModel(input)) return;
    settings.modelChosen();
    if (name) name.textContent = input.dataset.label ?? input.value;
    onModel(input.value);
  });
  const close = () => {
    root.removeAttribute("open");
    document.querySelector("textarea")?.focus();
  };
  // A click chooses and closes; arrow keys choose and stay (they click too, without a pointer).
  root.addEventListener("click", (event) => {
    if (event instanceof PointerEvent && event.pointerType && isModel(event.target)) close();
  });
  // The buttons belong to the composer's form: Enter on one of them would send the question.
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !isModel(event.target)) return;
    event.preventDefault();
    close();
  });
  root.addEventListener("toggle", () => {
    if (!root.hasAttribute("open")) return;
    if (root.querySelector("summary") === document.activeElement) focusChosen();
    showKeptBack(root);
  });
  const focusChosen = () => {
    const chosen = root.querySelector("input[name=model]:checked");
    if (chosen instanceof HTMLElement) chosen.focus();
  };
  return {
    open() {
      root.setAttribute("open", "");
      focusChosen();
    },
    /** What a question is sent with. @returns {{ model?: string, temperature?: number, max_output_tokens?: number }} */
    parameters() {
      const chosen = root.querySelector("input:checked");
      return chosen instanceof HTMLInputElement ? { model: chosen.value, ...settings.parameters() } : {};
    },
  };
}
