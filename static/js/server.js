// @ts-check
// Requests of the page to its own server, with the token that shows that they come from the page.

export const csrfToken = () => {
  const input = document.querySelector("[name=csrfmiddlewaretoken]");
  return input instanceof HTMLInputElement ? input.value : "";
};

/** A refusal by the server, in words for the person. */
export class ServerError extends Error {
  /** @param {string} detail @param {any} body @param {number} status */
  constructor(detail, body, status) {
    super(detail);
    this.body = body;
    this.status = status;
  }
}

const UNREACHABLE = "The server cannot be reached. Try again in a moment.";
// A line that died without a word would keep a request for ever, and the browser's few connections with it.
const TIMEOUT_MS = 30_000;

/** @param {string} url @param {RequestInit} options @returns {Promise<[Response, any]>} with its JSON, null where it is none */
async function send(url, options) {
  const response = await fetch(url, options);
  const isJson = response.headers.get("Content-Type")?.includes("json");
  return [response, isJson ? await response.json() : null];
}

/**
 * @param {string} method @param {string} url @param {any} [body] sent as JSON; URLSearchParams as a form
 * @param {RequestInit} [options]
 * @returns {Promise<any>} the JSON that came back, null where nothing did; throws ServerError
 */
export async function request(method, url, body, options = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  const isForm = body instanceof URLSearchParams;
  if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(new DOMException("", "TimeoutError")), TIMEOUT_MS);
  const given = options.signal;
  if (given?.aborted) ending.abort(given.reason);
  given?.addEventListener("abort", () => ending.abort(given.reason));
  const [response, answer] = await send(url, {
    method, headers, ...options, signal: ending.signal,
    ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
  }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new ServerError(UNREACHABLE, null, 0);
  }).finally(() => clearTimeout(timer));
  const isJson = answer !== null;
  // Signed out: the page that asks for the name came instead.
  if (response.redirected && !isJson) throw new ServerError("You are signed out here. Load the page again.", null, 401);
  if (!response.ok) throw new ServerError(answer?.detail ?? "This did not work.", answer, response.status);
  return answer;
}

/** The address of a conversation for programs. @param {string} id */
export const conversationUrl = (id) => `/api/v1/conversations/${id}/`;

/** The page of a conversation. @param {string} id */
export const conversationPage = (id) => `/c/${id}/`;

/** The page of a ledger entry. @param {string} id */
export const entryPage = (id) => `/usage/entries/${id}/`;
