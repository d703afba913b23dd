// @ts-check
// The last fence before the page: only what the renderer can produce gets through, as Trusted Types.

import DOMPurify from "dompurify";

const CONFIG = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "span",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["aria-label", "class", "href", "rel", "role", "start", "tabindex", "target", "title"],
  ALLOWED_URI_REGEXP: /^(?:(?:https?|mailto|tel):|[^a-z]|[a-z+.-]+(?:[^a-z+.\-:]|$))/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_TRUSTED_TYPE: true,
};

/** @param {string} html @returns {any} a TrustedHTML where the browser has them, else a string */
export const sanitise = (html) => DOMPurify.sanitize(html, CONFIG);

/** @param {any} trusted @returns {DocumentFragment} */
export function fragment(trusted) {
  const template = document.createElement("template");
  template.innerHTML = trusted;
  return template.content;
}
