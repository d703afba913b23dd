// @ts-check
// A conversation as a page to be printed: colours and formulas, then the button.

import { one } from "./elements.js";
import { enhance } from "./enhance.js";

enhance(document.querySelectorAll(".prose"));
one("[data-field=print]", HTMLButtonElement).addEventListener("click", () => print());
document.documentElement.dataset.ready = "true";
