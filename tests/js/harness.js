// What the browser's pages render with, put where a test can call it. Built by the tests alone.
import { highlight, prepare, spans } from "../../static/js/highlight.js";
import { fragment, sanitise } from "../../static/js/sanitise.js";
import { StreamView } from "../../static/js/stream_view.js";
import { createMarkdown } from "../../static/js/markdown.js";

const markdown = createMarkdown();
const stage = document.createElement("div");
document.body.append(stage);

/** The sanitised HTML of a whole text. */
const once = (text) => String(sanitise(markdown.render(text)));

/** What the page holds after streaming a text in pieces of `size`; `each` is called after every piece. */
function streamed(text, size, each = () => {}) {
  const view = new StreamView(stage);
  for (let at = 0; at < text.length; at += size) {
    view.pending = text.slice(at, at + size);
    view.flush();
    each();
  }
  view.finish(text, "");
  // Copy buttons and colours come when the browser is idle, which it is not yet.
  const shown = stage.cloneNode(true);
  view.reset("");
  return shown;
}

/** The same elements, attributes and texts, in whatever order the attributes were written. */
function isSame(shown, html) {
  const expected = document.createElement("div");
  expected.append(fragment(sanitise(html)));
  shown.normalize();
  expected.normalize();
  return shown.isEqualNode(expected);
}

/** Elements and attributes that must never be on the page. */
function dangers() {
  const found = [...stage.querySelectorAll("script,iframe,object,embed,img,svg,math,video,audio,form,input,style,link,meta,base")];
  const attributes = [...stage.querySelectorAll("*")].flatMap((element) =>
    [...element.attributes]
      .filter(({ name, value }) => name.startsWith("on") || name === "style" || name === "id" || /^\s*(javascript|data|vbscript):/i.test(value))
      .map(({ name, value }) => `${element.tagName} ${name}=${value.slice(0, 60)}`),
  );
  return [...found.map((element) => element.outerHTML.slice(0, 80)), ...attributes];
}

globalThis.harness = {
  parity: (texts) => texts.map(once),
  /** Pairs of HTML that are not the same page. */
  differing: (pairs) => pairs.filter(([one, other]) => {
    const shown = document.createElement("div");
    shown.append(fragment(sanitise(one)));
    return !isSame(shown, other);
  }),
  /** Texts whose stream ends otherwise than their HTML. */
  streams: (texts, htmls, size) => texts.filter((text, index) => !isSame(streamed(text, size), htmls[index])),
  attack: (texts, size) => texts.flatMap((text) => {
    const found = new Set();
    streamed(text, size, () => dangers().forEach((danger) => found.add(danger)));
    return [...found].map((danger) => `${text.slice(0, 80)} -> ${danger}`);
  }),
  /** Sources whose coloured nodes are not what the sanitised colours would be, or not the source. */
  miscoloured: async (sources, language) => {
    await prepare();
    return sources.filter((source) => {
      const html = highlight(source, language);
      const [made, expected] = [document.createElement("div"), document.createElement("div")];
      made.append(spans(html));
      expected.append(fragment(sanitise(html)));
      expected.normalize();
      return made.textContent !== source || !made.isEqualNode(expected);
    });
  },
  StreamView,
  stage,
};
