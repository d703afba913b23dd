import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.document = { querySelector: () => null };
globalThis.HTMLInputElement = class {};
const { request } = await import("../../static/js/server.js");

/** A server that never answers. */
const silent = (url, { signal }) => new Promise((_, fail) => {
  signal.addEventListener("abort", () => fail(signal.reason));
});

test("a request that nobody answers comes to its end", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.fetch = silent;
  const asked = request("GET", "/x/").catch((error) => error);
  context.mock.timers.tick(30_000);
  const error = await asked;
  assert.equal(error.status, 0);
  assert.match(error.message, /cannot be reached/);
});

test("a request that is called off says so", async () => {
  globalThis.fetch = silent;
  const ending = new AbortController();
  const asked = request("GET", "/x/", undefined, { signal: ending.signal }).catch((error) => error);
  ending.abort();
  assert.equal((await asked).name, "AbortError");
});

test("words that broke off are no answer", async () => {
  globalThis.fetch = async () => new Response('{"a', { headers: { "Content-Type": "application/json" } });
  const error = await request("GET", "/x/").catch((problem) => problem);
  assert.equal(error.status, 0);
});

test("it reads the answer, and a refusal in the server's words", async () => {
  globalThis.fetch = async () => Response.json({ a: 1 });
  assert.deepEqual(await request("GET", "/x/"), { a: 1 });
  globalThis.fetch = async () => Response.json({ detail: "No." }, { status: 409 });
  const error = await request("POST", "/x/", {}).catch((problem) => problem);
  assert.deepEqual([error.message, error.status], ["No.", 409]);
});
