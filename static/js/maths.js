// @ts-check
// Formulas as MathML, which browsers draw and screen readers speak: a chunk of its own, loaded with the
// first formula. Drawn into the element, not as a string: strings carry style attributes, which the
// content security policy refuses.

import katex from "katex";

/** @param {string} source TeX @param {Element} element @param {boolean} display */
export function formula(source, element, display) {
  katex.render(source, /** @type {HTMLElement} */ (element), {
    displayMode: display,
    output: "mathml",
    throwOnError: false,
    trust: false,
    strict: "ignore",
    maxExpand: 200,
    maxSize: 20,
  });
}
