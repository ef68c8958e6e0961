// A call over a websocket: messages as text, sound as PCM16.

import { CallError } from "./errors.js";
import { UNREACHABLE, ask, roundTripSecs } from "./requests.js";

/** @typedef {import("./types.js").Transport} Transport */
/** @typedef {import("./types.js").TransportEvents} TransportEvents */

const OPEN_SECS = 10;
const SLOW_BYTES = 64000; // two seconds of sound not sent: the network does not keep up

/** @implements {Transport} */
export class WebSocketTransport {
  /** @readonly */
  name = "websocket";
  #server;
  #key;
  #body;
  #on;
  #url = "";
  /** @type {WebSocket | undefined} */
  #socket;

  /**
   * @param {string} server
   * @param {{ key: string, body: Record<string, unknown> }} call
   * @param {TransportEvents} on
   */
  constructor(server, { key, body }, on) {
    this.#server = server;
    this.#key = key;
    this.#body = body;
    this.#on = on;
  }

  /** @param {AbortSignal} signal */
  async prepare(signal) {
    const body = { transport: "websocket", format: "json", body: this.#body };
    const { wsUrl, token } = await ask(new URL("start", this.#server).href, { key: this.#key, body, signal });
    const url = new URL(wsUrl);
    url.searchParams.set("token", token);
    if (new URL(this.#server).protocol === "https:") url.protocol = "wss:"; // a server behind a proxy may not know
    this.#url = url.href;
  }

  /**
   * @param {MediaStream | undefined} _stream
   * @param {AbortSignal} signal
   * @returns {Promise<void>}
   */
  open(_stream, signal) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.#url);
      let opened = false;
      socket.binaryType = "arraybuffer";
      const patience = setTimeout(() => socket.close(), OPEN_SECS * 1000);
      const giveUp = () => socket.close();
      signal.addEventListener("abort", giveUp, { once: true });
      socket.onopen = () => {
        opened = true;
        clearTimeout(patience);
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      socket.onmessage = ({ data }) => (typeof data === "string" ? this.#on.message(data) : this.#on.audio(data));
      socket.onclose = ({ code, reason }) => {
        clearTimeout(patience);
        if (opened) this.#on.closed({ code, reason });
        else this.#refusal().then(reject);
      };
      this.#socket = socket;
    });
  }

  /** Why the server did not take the call; a browser does not tell, so ask another way. */
  async #refusal() {
    const answers = (await roundTripSecs(this.#server)) !== undefined;
    const text = "The server did not take the call: it is full, or it is stopping. Try again in a moment.";
    return new CallError(answers ? text : UNREACHABLE, { retryable: true });
  }

  async replace() {}

  /** @param {string} text */
  send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  /** @param {ArrayBuffer} pcm */
  sendAudio(pcm) {
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.OPEN && socket.bufferedAmount < SLOW_BYTES) socket.send(pcm);
  }

  /** @param {number} graceMs */
  close(graceMs) {
    const socket = this.#socket;
    if (graceMs) setTimeout(() => socket?.close(1000), graceMs);
    else socket?.close(1000);
  }

  roundTripSecs() {
    return roundTripSecs(this.#server);
  }
}
