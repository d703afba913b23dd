// @ts-check
// The model picker of the status bar: a group of radio buttons in a popup.

/** @param {HTMLElement} root @param {(model: string) => void} onChange */
export function pickerOf(root, onChange) {
  const name = root.querySelector("[data-field=model-name]");
  root.addEventListener("change", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement)) return;
    if (name) name.textContent = input.dataset.label ?? input.value;
    onChange(input.value);
  });
  // A click chooses and closes; arrow keys choose and stay (they click too, without a pointer).
  root.addEventListener("click", (event) => {
    if (event instanceof PointerEvent && event.pointerType && event.target instanceof HTMLInputElement) {
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
    /** What a question is sent with. @returns {{ model?: string }} */
    parameters() {
      const chosen = root.querySelector("input:checked");
      return chosen instanceof HTMLInputElement ? { model: chosen.value } : {};
    },
  };
}
