// @ts-check
// Elements that a page cannot do without.

/** @template {Element} T @param {string} selector @param {new () => T} type @param {ParentNode} [root] @returns {T} */
export function one(selector, type, root = document) {
  const element = root.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`${selector} is missing`);
  return element;
}
