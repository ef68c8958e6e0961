// A call to a Voxray server: its connection, the sound of both sides, and what state it is in. No DOM.

import { openMicrophone } from "./devices.js";
import { ENDINGS, LOST, endingText, explained } from "./endings.js";
import { CallError } from "./errors.js";
import { Sound } from "./sound.js";
import { Answer } from "./timing.js";
import { WebRtcTransport } from "./webrtc.js";
import { WebSocketTransport } from "./websocket.js";

/** @typedef {import("./types.js").CallOptions} CallOptions */
/** @typedef {import("./types.js").ClientEvents} ClientEvents */
/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Transport} Transport */
/** @typedef {import("./types.js").TransportEvents} TransportEvents */

const RETRY_SECS = [1, 2, 4];
const SETTLED_SECS = 10; // a call this old did not fail for the reason the last one did
const GRACE_MS = 1000; // for the server to close first
const IN_CALL = ["listening", "hearing", "thinking", "speaking"];
const TRANSPORTS = { websocket: WebSocketTransport, webrtc: WebRtcTransport };

/**
 * ```js
 * const client = new Client("http://localhost:3042/");
 * client.on("state", (state) => console.log(state));
 * await client.start({ microphone: true });
 * ```
 */
export class Client extends EventTarget {
  /** @type {State} */
  state = "idle";
  muted = false;
  /** Of the agent's speech, in this call. */
  playedSecs = 0;
  #server;
  /** @type {CallOptions} */
  #options = {};
  /** @type {Transport | undefined} */
  #transport;
  /** @type {Sound | undefined} */
  #sound;
  #attempt = new AbortController();
  #begun = 0;
  #hearing = false;
  /** @type {Record<string, any> | undefined} what the server's last message said */
  #ending;
  #asked = false; // the end was asked for here
  #attempts = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  #answer = new Answer();
  #network = 0;

  /** @param {string} server address of the server, with a slash at the end if it lives below a path */
  constructor(server = location.href) {
    super();
    this.#server = new URL(server, globalThis.location?.href).href;
  }

  /**
   * `addEventListener` with types; gives what ends it.
   *
   * @template {keyof ClientEvents} K
   * @param {K} type
   * @param {(detail: ClientEvents[K]) => void} listener
   */
  on(type, listener) {
    /** @param {Event} event */
    const heard = (event) => listener(/** @type {CustomEvent<ClientEvents[K]>} */ (event).detail);
    this.addEventListener(type, heard);
    return () => this.removeEventListener(type, heard);
  }

  get inCall() {
    return IN_CALL.includes(this.state);
  }

  get busy() {
    return this.inCall || this.state === "connecting" || this.state === "retrying";
  }

  get listening() {
    return this.#sound?.listening ?? false;
  }

  /** How the present call, or the last one, travels. */
  get transport() {
    return this.#options.transport ?? "websocket";
  }

  /**
   * Call the server. Must be called while a click or key is being handled. Throws CallError, MicrophoneError, Error.
   *
   * @param {CallOptions} [options]
   */
  async start(options = {}) {
    if (this.busy) return;
    this.#options = { ...options };
    this.#attempts = 0;
    try {
      await this.#begin();
    } catch (error) {
      if (this.#asked) return this.#over({ text: ENDINGS.client_asked, cause: "client_asked", code: 1000 });
      this.#become("idle");
      throw error;
    }
  }

  /**
   * A typed turn.
   *
   * @param {string} text
   */
  sendText(text) {
    this.#answer = new Answer();
    this.send("TranscriptionFrame", { text, user_id: "", finalized: true });
    this.#measureNetwork();
    this.#become("thinking");
  }

  /**
   * A key of the telephone.
   *
   * @param {string} digit 0-9, * or #
   */
  sendKey(digit) {
    this.send("InputDTMFFrame", { digit });
  }

  /** Make the agent stop speaking. */
  interrupt() {
    this.send("InterruptionFrame", {});
  }

  /**
   * Any message of the protocol.
   *
   * @param {string} type
   * @param {Record<string, unknown>} data
   */
  send(type, data) {
    if (!this.inCall) return;
    this.#transport?.send(JSON.stringify({ type, data }));
    this.#tell("sent", { at: this.#age(), type, data });
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.muted = muted;
    if (this.#sound) this.#sound.muted = muted;
  }

  /**
   * Go on with another microphone. Throws MicrophoneError.
   *
   * @param {string} id
   */
  async setMicrophone(id) {
    this.#options.microphoneId = id;
    if (!this.listening) return;
    const stream = await openMicrophone(id);
    if (!this.inCall) return stream.getTracks().forEach((track) => track.stop());
    this.#listen(stream); // first: this mutes it, and the call's end stops it
    await this.#transport?.replace(stream);
  }

  /**
   * Play on another loudspeaker.
   *
   * @param {string} id
   */
  async setOutput(id) {
    this.#options.outputId = id;
    try {
      await this.#sound?.setOutput(id);
    } catch {
      this.#tell("notice", { kind: "error", text: "The chosen loudspeaker cannot be used; the usual one plays." });
    }
  }

  /** End the call, or the attempts to begin one. */
  async stop() {
    clearTimeout(this.#retry);
    if (this.state === "retrying") return this.#over({ text: LOST, cause: "", code: 1006 });
    if (!this.busy) return;
    this.#asked = true;
    this.#sound?.clear();
    if (this.state === "connecting") return this.#attempt.abort();
    this.send("EndFrame", { reason: "client asked" });
    this.#transport?.close(GRACE_MS);
  }

  // ── the connection ──

  async #begin() {
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#asked = this.#hearing = false;
    this.#ending = undefined;
    this.#begun = this.playedSecs = 0;
    this.#become("connecting");
    let /** @type {MediaStream | undefined} */ stream;
    try {
      await this.#openSound();
      const { key = "", body = {}, microphone, microphoneId } = this.#options;
      const transport = new TRANSPORTS[this.transport](this.#server, { key, body }, this.#hears());
      await transport.prepare(attempt.signal);
      if (microphone) stream = await openMicrophone(microphoneId);
      if (this.#asked) throw new CallError(ENDINGS.client_asked);
      if (stream) this.#listen(stream);
      this.#transport = transport;
      await transport.open(stream, attempt.signal);
      attempt.signal.addEventListener("abort", () => transport.close(0));
    } catch (error) {
      stream?.getTracks().forEach((track) => track.stop());
      await this.#closeSound();
      throw error;
    }
  }

  /** @returns {TransportEvents} */
  #hears() {
    return {
      message: (text) => this.#receive(text),
      audio: (pcm) => {
        this.#answer.arrived();
        this.#sound?.play(pcm);
      },
      stream: (stream) => this.#sound?.hear(stream),
      connection: (how) => this.#tell("connection", how),
      closed: ({ code, reason }) => this.#closed(code, reason),
    };
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  async #closed(code, reason) {
    const age = this.#age();
    this.#transport = undefined;
    await this.#closeSound();
    const cause = this.#ending?.reason ?? "";
    const asked = this.#asked || cause === "client_asked";
    const text = asked ? ENDINGS.client_asked : endingText(code, reason, cause);
    const ending = { text, cause: asked ? "client_asked" : cause, code };
    if (asked || (code !== 1006 && code !== 1012)) return this.#over(ending);
    if (age > SETTLED_SECS) this.#attempts = 0;
    this.#again(ending);
  }

  /**
   * The line broke. A new connection is a new call: say so, wait, and call again, a few times.
   *
   * @param {import("./types.js").Ending} ending
   */
  #again(ending) {
    if (this.#attempts >= RETRY_SECS.length) return this.#over(ending);
    const secs = RETRY_SECS[this.#attempts++];
    this.#become("retrying");
    this.#tell("ended", { ...ending, willRetryInSecs: secs });
    this.#retry = setTimeout(async () => {
      try {
        await this.#begin();
      } catch (error) {
        const { message, retryable = false } = /** @type {CallError} */ (error);
        if (this.#asked) this.#over({ text: ENDINGS.client_asked, cause: "client_asked", code: 1000 });
        else if (retryable) this.#again({ text: message, cause: "", code: 1006 });
        else this.#over({ text: message, cause: "", code: 1006 });
      }
    }, secs * 1000);
  }

  /** @param {import("./types.js").Ending} ending */
  #over(ending) {
    this.#become("ended");
    this.#tell("ended", ending);
  }

  // ── sound ──

  async #openSound() {
    const { record = false, outputId = "" } = this.#options;
    try {
      const sound = new Sound({
        started: () => this.#heard(),
        mark: (name) => this.send("MarkFrame", { name }),
        recorded: (pcm) => this.#tell("sound", pcm),
        level: (level, played) => {
          this.playedSecs = played;
          this.#tell("level", { agent: level });
        },
      });
      this.#sound = sound;
      sound.muted = this.muted;
      await sound.ready({ record });
      if (outputId) await this.setOutput(outputId);
    } catch (error) {
      throw new Error(`This browser cannot play the agent's voice: ${/** @type {Error} */ (error).message}`);
    }
  }

  async #closeSound() {
    const sound = this.#sound;
    this.#sound = undefined;
    await sound?.close();
    this.#tell("level", { microphone: 0 });
    this.#tell("level", { agent: 0 });
  }

  /** @param {MediaStream} stream */
  #listen(stream) {
    const capture = (/** @type {ArrayBuffer} */ pcm, /** @type {number} */ level) => {
      this.#tell("level", { microphone: level });
      if (this.inCall) this.#transport?.sendAudio(pcm);
    };
    const gone = () => this.#tell("notice", { kind: "error", text: "The microphone is gone. The call goes on; you can type." });
    this.#sound?.listen(stream, capture, gone);
  }

  /** The first sample of an answer, or of what follows a gap in one, is being played. */
  #heard() {
    this.#answer.heard();
    this.#showTiming();
  }

  // ── the server's messages ──

  /** @param {string} message */
  #receive(message) {
    const { type, data = {} } = JSON.parse(message);
    if (type === "StartFrame" && this.#begun) return; // of the same call, over a new connection
    this.#act(type, data);
    this.#tell("frame", { at: this.#age(), type, data });
  }

  /**
   * @param {string} type
   * @param {Record<string, any>} data
   */
  #act(type, data) {
    switch (type) {
      case "StartFrame":
        this.#begun = performance.now();
        if (this.transport === "websocket") this.#sound?.setRate(data.audio_out_sample_rate);
        this.#become("listening");
        this.#measureNetwork();
        break;
      case "UserStartedSpeakingFrame":
        this.#hearing = true;
        this.#become("hearing");
        break;
      case "UserStoppedSpeakingFrame":
        this.#hearing = false;
        this.#measureNetwork();
        break;
      case "UserTurnFrame":
        this.#become(data.text ? "thinking" : "listening");
        break;
      case "LLMFullResponseStartFrame":
        this.#replyIs(data.reply);
        if (this.state === "listening") this.#become("thinking");
        break;
      case "BotStartedSpeakingFrame":
        this.#replyIs(data.reply);
        this.#audible();
        if (this.transport === "webrtc") this.#measureNetwork(); // costs no request
        this.#become("speaking");
        break;
      case "TurnTimingFrame":
        this.#answer.timed(data);
        this.#showTiming();
        break;
      case "InterruptionFrame":
        this.#sound?.clear();
        break;
      case "BotStoppedSpeakingFrame":
        if (this.state === "speaking" || !data.interrupted) this.#become(this.#hearing ? "hearing" : "listening");
        break;
      case "MarkFrame":
        this.#sound?.mark(data.name);
        break;
      case "ErrorFrame":
        this.#tell("notice", { kind: "error", text: explained(data) });
        break;
      case "EndFrame":
        this.#ending = data;
        this.#transport?.close(GRACE_MS);
        break;
    }
  }

  /** @param {number} number */
  #replyIs(number) {
    if (number !== this.#answer.number) this.#answer = new Answer(number);
  }

  /** By WebRTC this message is all that tells when the first sound of an answer was sent. */
  #audible() {
    if (this.transport !== "webrtc") return;
    this.#answer.arrived();
    this.#sound?.allow();
  }

  #showTiming() {
    const timing = this.#answer.take(this.#network, this.#sound?.latencySecs ?? 0);
    if (timing) this.#tell("timing", timing);
  }

  async #measureNetwork() {
    const secs = await this.#transport?.roundTripSecs();
    if (secs === undefined) return;
    this.#network = secs;
    this.#tell("network", secs);
  }

  // ──

  #age() {
    return this.#begun ? (performance.now() - this.#begun) / 1000 : 0;
  }

  /** @param {State} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#tell("state", state);
  }

  /**
   * @template {keyof ClientEvents} K
   * @param {K} type
   * @param {ClientEvents[K]} detail
   */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
