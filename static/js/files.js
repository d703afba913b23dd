// @ts-check
// Pictures and files that are pasted or dropped: nothing here takes them, and the page says so. Left alone,
// a dropped file would be opened in the place of the conversation.

const WORDS = "Only text can be sent here. A picture or a file is not taken; what you typed is still there.";

/** Whether there is nothing but files in it. Pure. @param {{ types: readonly string[] } | null} transfer */
export const isFilesOnly = (transfer) =>
  transfer !== null && transfer.types.includes("Files") && !transfer.types.includes("text/plain");

/** @param {(words: string) => void} tell @param {EventTarget} [root] */
export function refuseFiles(tell, root = document) {
  root.addEventListener("dragover", (event) => {
    if (event instanceof DragEvent && event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  root.addEventListener("drop", (event) => {
    if (!(event instanceof DragEvent) || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    tell(WORDS);
  });
  root.addEventListener("paste", (event) => {
    if (event instanceof ClipboardEvent && isFilesOnly(event.clipboardData)) tell(WORDS);
  });
}
