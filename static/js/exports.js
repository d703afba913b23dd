// @ts-check
// The menu in the status bar that gives the conversation as a file or on paper: there is one as soon as
// something has been asked.

export class Exports {
  /** @param {HTMLElement} root @param {import("./open_conversation.js").OpenConversation} conversation */
  constructor(root, conversation) {
    this.root = root;
    this.conversation = conversation;
    root.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("a")) root.removeAttribute("open");
    });
  }

  show() {
    this.root.hidden = false;
    for (const link of this.root.querySelectorAll("a")) link.href = `${this.conversation.url}${link.dataset.file}`;
  }
}
