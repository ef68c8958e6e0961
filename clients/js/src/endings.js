// How calls end and what goes wrong in them, in words for people.

/** @type {Record<string, string>} */
export const ENDINGS = {
  caller_left: "You left the call.",
  client_asked: "You ended the call.",
  agent_ended: "The agent said goodbye and hung up.",
  max_duration: "The call reached the longest time that the server allows.",
  idle: "Nothing came from this page for a long time, so the server ended the call.",
  drained: "The server is stopping.",
  provider_failed: "The agent cannot answer any more: a provider failed.",
  error: "The server had a fault and ended the call.",
};
/** @type {Record<number, string>} */
const CLOSINGS = {
  1001: "The server is stopping.",
  1008: "The server did not accept what this page sent.",
  1009: "This page sent a message that is too large for the server.",
  1011: "The server had a fault and ended the call.",
  1013: "The server is full: it cannot take another call now. Try again in a moment.",
};
export const LOST = "The connection was lost.";

/**
 * What to tell of the end of a call. `cause` is what the server's last message said.
 *
 * @param {number} code
 * @param {string} reason
 * @param {string} cause
 */
export function endingText(code, reason, cause) {
  if (code === 1011 && ENDINGS[cause]) return ENDINGS[cause];
  if (code === 1013 && reason && !cause) return `${CLOSINGS[1013]} (${reason})`;
  return CLOSINGS[code] ?? ENDINGS[cause] ?? (code === 1000 ? "The call is over." : LOST);
}

/** @type {Record<string, string>} */
const STAGES = {
  stt: "The speech recogniser failed",
  llm: "The language model failed",
  tts: "The voice failed",
  client: "The server did not understand a message of this page",
};

/** @param {Record<string, any>} data of an ErrorFrame */
export function explained({ processor, error }) {
  return `${STAGES[processor] ?? "The call has a problem"}: ${error}`;
}
