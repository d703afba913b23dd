// Builds what static/bundle.json lists: `npm run build` after `npm ci --ignore-scripts`.
// The pages load the result as /static/bundle/NAME.js; chunks are loaded by the entries themselves.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { entries, outdir, options } = JSON.parse(readFileSync(join(root, "static/bundle.json"), "utf8"));
const files = Object.entries(entries).map(([name, path]) => `${name}=${path}`);
rmSync(join(root, outdir), { recursive: true, force: true });
execFileSync(
  process.execPath,
  [join(root, "node_modules/esbuild/bin/esbuild"), ...files, ...options, `--outdir=${outdir}`, "--log-level=warning"],
  { cwd: root, stdio: "inherit" },
);
