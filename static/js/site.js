// @ts-check
// What every page has: popups that close, the theme, the drawer on phones.

import { isComposed } from "./composing.js";

/** @param {Event} event */
function closePopups(event) {
  for (const popup of document.querySelectorAll("details.popup[open]")) {
    if (event.target instanceof Node && popup.contains(event.target) && event.type !== "keydown") continue;
    popup.removeAttribute("open");
    if (event.type === "keydown") popup.querySelector("summary")?.focus();
    if (event.type === "keydown") event.stopImmediatePropagation();
  }
}

document.addEventListener("pointerdown", closePopups);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !isComposed(event)) closePopups(event);
}, { capture: true });

// Links that are buttons with scripts take the space bar as buttons do.
document.addEventListener("keydown", (event) => {
  if (event.key !== " " || !(event.target instanceof HTMLAnchorElement) || event.target.getAttribute("role") !== "button") return;
  event.preventDefault();
  event.target.click();
});

/** The server writes it into the next page, so that no page flashes. @param {string} name @param {string} value */
function remember(name, value) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=lax${secure}`;
}

const theme = document.querySelector("[data-theme-switch]");
theme?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const next = dark ? "light" : "dark";
  root.dataset.theme = next;
  remember("theme", next);
});

function toggleRail() {
  const hidden = document.body.toggleAttribute("data-rail-hidden");
  remember("rail", hidden ? "hidden" : "");
}

const rail = document.querySelector(".rail");
const drawer = document.querySelector("dialog.drawer");
const drawerOpener = document.querySelector(".drawer-open");
if (rail && drawer instanceof HTMLDialogElement && drawerOpener) {
  const inner = /** @type {HTMLElement} */ (rail.querySelector(".rail-inner"));
  const open = () => {
    drawer.append(inner);
    drawer.showModal();
  };
  drawerOpener.addEventListener("click", (event) => {
    event.preventDefault();
    // On a wide screen it stands there when the rail is hidden.
    if (document.body.hasAttribute("data-rail-hidden") && !matchMedia("(max-width: 52rem)").matches) toggleRail();
    else open();
  });
  drawer.addEventListener("close", () => rail.append(inner));
  drawer.addEventListener("shut", () => drawer.close());
  document.addEventListener("rail", () => (matchMedia("(max-width: 52rem)").matches ? open() : toggleRail()));
  drawer.addEventListener("click", (event) => {
    if (event.target === drawer) drawer.close();
  });
}
