// @ts-check
// What every page has: popups that close, the theme, the drawer on phones.

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
  if (event.key === "Escape") closePopups(event);
}, { capture: true });

const theme = document.querySelector("[data-theme-switch]");
theme?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const next = dark ? "light" : "dark";
  root.dataset.theme = next;
  const secure = location.protocol === "https:" ? "; secure" : "";
  // The server writes it into the next page, so that no page flashes.
  document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=lax${secure}`;
});

const rail = document.querySelector(".rail");
const drawer = document.querySelector("dialog.drawer");
const drawerOpener = document.querySelector(".drawer-open");
if (rail && drawer instanceof HTMLDialogElement && drawerOpener) {
  const inner = /** @type {HTMLElement} */ (rail.querySelector(".rail-inner"));
  drawerOpener.addEventListener("click", (event) => {
    event.preventDefault();
    drawer.append(inner);
    drawer.showModal();
  });
  drawer.addEventListener("close", () => rail.append(inner));
  drawer.addEventListener("click", (event) => {
    if (event.target === drawer) drawer.close();
  });
}
