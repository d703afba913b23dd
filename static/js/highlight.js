// @ts-check
// Colours for code: a chunk of its own, loaded with the first code block that names its language. The
// languages are those of highlight.js/lib/common, which would make all of them known in one long task.

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import csharp from "highlight.js/lib/languages/csharp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import graphql from "highlight.js/lib/languages/graphql";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import kotlin from "highlight.js/lib/languages/kotlin";
import less from "highlight.js/lib/languages/less";
import lua from "highlight.js/lib/languages/lua";
import makefile from "highlight.js/lib/languages/makefile";
import markdown from "highlight.js/lib/languages/markdown";
import objectivec from "highlight.js/lib/languages/objectivec";
import perl from "highlight.js/lib/languages/perl";
import php from "highlight.js/lib/languages/php";
import phpTemplate from "highlight.js/lib/languages/php-template";
import plaintext from "highlight.js/lib/languages/plaintext";
import python from "highlight.js/lib/languages/python";
import pythonRepl from "highlight.js/lib/languages/python-repl";
import r from "highlight.js/lib/languages/r";
import ruby from "highlight.js/lib/languages/ruby";
import rust from "highlight.js/lib/languages/rust";
import scss from "highlight.js/lib/languages/scss";
import shell from "highlight.js/lib/languages/shell";
import sql from "highlight.js/lib/languages/sql";
import swift from "highlight.js/lib/languages/swift";
import typescript from "highlight.js/lib/languages/typescript";
import vbnet from "highlight.js/lib/languages/vbnet";
import wasm from "highlight.js/lib/languages/wasm";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";

import { inSlices } from "./slices.js";

/** In the order of that list: where two languages claim a name, the later one has it. */
const LANGUAGES = {
  xml, bash, c, cpp, csharp, css, markdown, diff, ruby, go, graphql, ini, java, javascript, json, kotlin,
  less, lua, makefile, perl, objectivec, php, "php-template": phpTemplate, plaintext, python,
  "python-repl": pythonRepl, r, rust, scss, shell, sql, swift, yaml, typescript, vbnet, wasm,
};

/** To be awaited before the first block. */
export const prepare = () =>
  inSlices(Object.entries(LANGUAGES).map(([name, grammar]) => () => hljs.registerLanguage(name, grammar)));

const TAG = /(<span class="[^"]*">|<\/span>)/;
const ENTITIES = /&(?:amp|lt|gt|quot|#x27);/g;
/** @type {Record<string, string>} */
const CHARACTERS = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };

/** What `highlight` gives, as nodes: spans with classes and text are all that can come of it. @param {string} html */
export function spans(html) {
  const root = document.createDocumentFragment();
  /** @type {Node} */
  let open = root;
  html.split(TAG).forEach((part, index) => {
    if (index % 2 === 0) {
      if (part) open.appendChild(document.createTextNode(part.replace(ENTITIES, (entity) => CHARACTERS[entity])));
    } else if (part === "</span>") open = open.parentNode ?? root;
    else {
      const span = document.createElement("span");
      span.className = part.slice('<span class="'.length, -2);
      open = open.appendChild(span);
    }
  });
  return root;
}

/** @param {string} source @param {string} language @returns {string | null} HTML; null: unknown language */
export function highlight(source, language) {
  if (!hljs.getLanguage(language)) return null;
  return hljs.highlight(source, { language, ignoreIllegals: true }).value;
}
