// What can go wrong before a call has begun.

/** Why a call could not begin, in words for the person in front of the page. */
export class CallError extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, code?: string, retryable?: boolean }} [more]
   */
  constructor(message, { status = 0, code = "", retryable = false } = {}) {
    super(message);
    this.name = "CallError";
    /** HTTP status of the server's answer; 0 if there was none. 401: a key is wanted, or it is wrong. */
    this.status = status;
    /** The server's word for it, such as "unauthorized". */
    this.code = code;
    /** The same attempt may succeed later. */
    this.retryable = retryable;
  }
}
