// @ts-check
// What a person wants on every device: kept by the server.

import { request } from "./server.js";

/** @param {ParentNode} root @param {(text: string) => void} fail */
export function keepPreferences(root, fail) {
  for (const box of root.querySelectorAll("input[data-preference]")) {
    if (!(box instanceof HTMLInputElement)) continue;
    box.addEventListener("change", () => {
      const wanted = new URLSearchParams({ [box.dataset.preference ?? ""]: box.checked ? "1" : "0" });
      request("POST", box.dataset.url ?? "", wanted).catch((error) => {
        box.checked = !box.checked;
        fail(error.message);
      });
    });
  }
}
