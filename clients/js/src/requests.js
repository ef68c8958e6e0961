// The server's HTTP routes.

import { CallError } from "./errors.js";

const REQUEST_SECS = 15;
export const UNREACHABLE = "The server does not answer. Is it still running?";

/**
 * Send JSON and read JSON. Throws CallError with the server's own words.
 *
 * @param {string} url
 * @param {{ method?: string, key?: string, body: unknown, signal?: AbortSignal }} request
 * @returns {Promise<any>} undefined if the answer has no body
 */
export async function ask(url, { method = "POST", key = "", body, signal }) {
  const patience = AbortSignal.timeout(REQUEST_SECS * 1000);
  const headers = { "content-type": "application/json", ...(key ? { "x-api-key": key } : {}) };
  let answer;
  let text;
  try {
    const either = signal ? AbortSignal.any([signal, patience]) : patience;
    answer = await fetch(url, { method, headers, body: JSON.stringify(body), signal: either, cache: "no-store" });
    text = await answer.text();
  } catch {
    throw new CallError(UNREACHABLE, { retryable: true });
  }
  const data = parsed(text);
  if (answer.ok) return data;
  const { error, info } = data ?? {};
  const message = error?.message ?? info ?? `The server answered with status ${answer.status}.`;
  throw new CallError(message, { status: answer.status, code: error?.code ?? "", retryable: answer.status >= 500 });
}

/** @param {string} text */
function parsed(text) {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Seconds of a round trip, undefined if there is no answer: from the request to the first byte, as the browser timed it.
 *
 * @param {string} server
 */
export async function roundTripSecs(server) {
  const url = new URL("health", server).href;
  const began = performance.now();
  try {
    // Not read, so pages of other sites may ask, too.
    await fetch(url, { cache: "no-store", mode: "no-cors", signal: AbortSignal.timeout(REQUEST_SECS * 1000) });
  } catch {
    return undefined;
  }
  const entry = /** @type {PerformanceResourceTiming | undefined} */ (performance.getEntriesByName(url).at(-1));
  performance.clearResourceTimings();
  if (!entry?.requestStart) return (performance.now() - began) / 1000; // other sites are not told
  return (entry.responseStart - entry.requestStart) / 1000;
}
