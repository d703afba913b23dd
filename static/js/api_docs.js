// @ts-check
// The page of the API: its own dark sheet goes by a class, the site's by the theme.

const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function follow() {
  root.classList.toggle("dark-mode", root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
}

follow();
prefersDark.addEventListener("change", follow);
new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });
