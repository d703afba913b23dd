// Reads a JSON list of Markdown texts from standard input and prints the list of their HTML.
// The parity test compares it with what the server's renderer makes of the same texts.
import { createMarkdown } from "../../static/js/markdown.js";

const markdown = createMarkdown();
let input = "";
process.stdin.setEncoding("utf8");
for await (const chunk of process.stdin) input += chunk;
process.stdout.write(JSON.stringify(JSON.parse(input).map((/** @type {string} */ text) => markdown.render(text))));
