// A call to a Voxray server: the socket, the sound of both sides, and what state the call is in. No DOM.
//
//   const call = new Client("ws://localhost:3042/ws");
//   call.addEventListener("state", ({ detail }) => console.log(detail));
//   await call.start({ microphone: true });
//
// Events, each with its `detail`:
//   state    "idle" | "connecting" | "listening" | "hearing" | "thinking" | "speaking" | "retrying" | "ended"
//   frame    { at, type, data }, each message of the server; `at` in seconds since the call began
//   sent     { at, type, data }, each message to the server
//   level    { microphone } or { agent }, RMS 0..1
//   timing   { turn, reply, stages: [{ name, secs }], totalSecs }, when an answer is heard
//   network  seconds of a round trip to the server
//   notice   { text, kind: "error" | "info" }
//   ended    { text, cause, code, willRetryInSecs? }

import { Sound, openMicrophone } from "./audio.js";

const OPEN_SECS = 10;
const RETRY_SECS = [1, 2, 4];
const SETTLED_SECS = 10; // a call this old did not fail for the reason the last one did
const SLOW_BYTES = 64000; // two seconds of sound not sent: the network does not keep up
const PIECES = ["waited", "stt", "llm_first_token", "tts_first_audio"];

const ENDINGS = {
  caller_left: "You left the call.",
  client_asked: "You ended the call.",
  agent_ended: "The agent said goodbye and hung up.",
  max_duration: "The call reached the longest time that the server allows.",
  idle: "Nothing came from this page for a long time, so the server ended the call.",
  drained: "The server is stopping.",
  provider_failed: "The agent cannot answer any more: a provider failed.",
  error: "The server had a fault and ended the call.",
};
const CLOSINGS = {
  1001: "The server is stopping.",
  1008: "The server did not accept what this page sent.",
  1009: "This page sent a message that is too large for the server.",
  1011: "The server had a fault and ended the call.",
  1013: "The server is full: it cannot take another call now. Try again in a moment.",
};
const LOST = "The connection was lost.";

export class Client extends EventTarget {
  state = "idle";
  muted = false;
  playedSecs = 0; // of the agent's speech, in this call
  #url;
  #base;
  #socket;
  #sound;
  #wanted = { microphone: false };
  #begun = 0;
  #hearing = false;
  #ending; // what the server's last message said
  #asked = false; // the end was asked for here
  #attempts = 0;
  #retry;
  #reply = {}; // of the answer under way: its times
  #network = 0;

  /** `url` of the socket; `base` of the server's HTTP routes. */
  constructor(url, base = url.replace(/^ws/, "http").replace(/ws(\?.*)?$/, "")) {
    super();
    this.#url = url;
    this.#base = base;
  }

  get inCall() {
    return ["listening", "hearing", "thinking", "speaking"].includes(this.state);
  }

  get busy() {
    return this.inCall || this.state === "connecting" || this.state === "retrying";
  }

  get listening() {
    return this.#sound?.listening ?? false;
  }

  /** Call the server. Must be called while a click or key is being handled. Throws MicrophoneError, Error. */
  async start({ microphone = false } = {}) {
    if (this.busy) return;
    this.#wanted = { microphone };
    this.#attempts = 0;
    await this.#connect();
  }

  /** A typed turn. */
  sendText(text) {
    this.#reply = { askedAt: performance.now() };
    this.#send("TranscriptionFrame", { text, user_id: "", finalized: true });
    this.#measureNetwork();
    this.#become("thinking");
  }

  /** A key of the telephone. */
  sendKey(digit) {
    this.#send("InputDTMFFrame", { digit });
  }

  /** Make the agent stop speaking. */
  interrupt() {
    this.#send("InterruptionFrame", {});
  }

  setMuted(muted) {
    this.muted = muted;
    if (this.#sound) this.#sound.muted = muted;
  }

  /** End the call, or the attempts to begin one. */
  async stop() {
    clearTimeout(this.#retry);
    if (this.state === "retrying") return this.#over({ text: LOST, code: 1006 });
    this.#asked = true;
    this.#sound?.clear();
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return socket?.close();
    this.#send("EndFrame", { reason: "client asked" });
    setTimeout(() => socket.close(1000), 1000); // if the server does not
  }

  // ── the connection ──

  async #connect() {
    this.#become("connecting");
    this.#asked = false;
    this.#ending = undefined;
    this.#hearing = false;
    try {
      const stream = this.#wanted.microphone ? await openMicrophone() : undefined;
      await this.#openSound(stream);
    } catch (error) {
      this.#become(this.#attempts ? "ended" : "idle");
      throw error;
    }
    this.#openSocket();
  }

  async #openSound(stream) {
    this.playedSecs = 0;
    try {
      this.#sound = await Sound.open({
        started: () => this.#heard(),
        drained: () => this.#tell("level", { agent: 0 }),
        mark: (name) => this.#send("MarkFrame", { name }),
        level: (level, played) => {
          this.playedSecs = played;
          this.#tell("level", { agent: level });
        },
      });
    } catch (error) {
      stream?.getTracks().forEach((track) => track.stop());
      throw new Error(`This browser cannot play the agent's voice: ${error.message}`);
    }
    if (!stream) return;
    this.#sound.listen(
      stream,
      (pcm, level) => this.#capture(pcm, level),
      () => this.#tell("notice", { kind: "error", text: "The microphone is gone. The call goes on; you can type." }),
    );
    this.#sound.muted = this.muted;
  }

  #openSocket() {
    const socket = new WebSocket(this.#url);
    let opened = false;
    socket.binaryType = "arraybuffer";
    const patience = setTimeout(() => socket.close(), OPEN_SECS * 1000);
    socket.onopen = () => {
      opened = true;
      clearTimeout(patience);
    };
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.#receive(data) : this.#play(data));
    socket.onclose = ({ code, reason }) => {
      clearTimeout(patience);
      this.#closed(code, reason, opened);
    };
    this.#socket = socket;
  }

  async #closed(code, reason, opened) {
    const age = this.#age();
    const asked = this.#asked || this.#ending?.reason === "client_asked";
    this.#socket = undefined;
    await this.#sound?.close();
    this.#sound = undefined;
    this.#tell("level", { microphone: 0 });
    this.#tell("level", { agent: 0 });
    if (!opened && !asked) return this.#over({ text: await this.#refusal(), code });
    const cause = this.#ending?.reason ?? "";
    let text = asked ? ENDINGS.client_asked : (CLOSINGS[code] ?? ENDINGS[cause] ?? (code === 1000 ? "The call is over." : LOST));
    if (code === 1011 && ENDINGS[cause]) text = ENDINGS[cause];
    if (code === 1013 && reason && !cause) text = `${CLOSINGS[1013]} (${reason})`;
    if (asked || (code !== 1006 && code !== 1012)) return this.#over({ text, cause, code });
    if (age > SETTLED_SECS) this.#attempts = 0;
    this.#again({ text, cause, code });
  }

  /** The line broke. A new connection is a new call: say so, wait, and call again, a few times. */
  #again(ending) {
    if (this.#attempts >= RETRY_SECS.length) return this.#over(ending);
    const secs = RETRY_SECS[this.#attempts++];
    this.#become("retrying");
    this.#tell("ended", { ...ending, willRetryInSecs: secs });
    this.#retry = setTimeout(() => {
      this.#connect().catch((error) => this.#over({ text: error.message, code: 1006 }));
    }, secs * 1000);
  }

  #over(ending) {
    this.#become("ended");
    this.#tell("ended", ending);
  }

  /** Why the server did not take the call; a browser does not tell, so ask another way. */
  async #refusal() {
    try {
      const answer = await fetch(new URL("health", this.#base), { cache: "no-store" });
      if (answer.ok) return "The server did not take the call: it is full, or it wants a key, or it is stopping.";
    } catch {
      return "The server does not answer. Is it still running?";
    }
    return LOST;
  }

  #send(type, data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ type, data }));
    this.#tell("sent", { at: this.#age(), type, data });
  }

  // ── sound ──

  #capture(pcm, level) {
    this.#tell("level", { microphone: level });
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || !this.inCall) return;
    if (socket.bufferedAmount < SLOW_BYTES) socket.send(pcm);
  }

  #play(pcm) {
    this.#reply.arrivedAt ??= performance.now();
    this.#sound?.play(pcm);
  }

  /** The first sample of an answer, or of what follows a gap in one, is being played. */
  #heard() {
    if (this.#reply.playedAt === undefined && this.#reply.arrivedAt !== undefined) {
      this.#reply.playedAt = performance.now();
      this.#showTiming();
    }
  }

  // ── the server's messages ──

  #receive(message) {
    const { type, data = {} } = JSON.parse(message);
    this.#act(type, data);
    this.#tell("frame", { at: this.#age(), type, data });
  }

  #act(type, data) {
    switch (type) {
      case "StartFrame":
        this.#begun = performance.now();
        if (this.#sound) this.#sound.rate = data.audio_out_sample_rate;
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
        if (data.reply !== this.#reply.number) this.#reply = { number: data.reply };
        if (this.state === "listening") this.#become("thinking");
        break;
      case "BotStartedSpeakingFrame":
        if (data.reply !== this.#reply.number) this.#reply = { number: data.reply };
        this.#become("speaking");
        break;
      case "TurnTimingFrame":
        this.#reply.timing = data;
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
        break;
    }
  }

  #showTiming() {
    const { timing, arrivedAt, playedAt, shown } = this.#reply;
    if (!timing || playedAt === undefined || shown) return;
    this.#reply.shown = true;
    const sound = (playedAt - arrivedAt) / 1000 + (this.#sound?.latencySecs ?? 0);
    const stages = stagesOf(timing, this.#network, sound);
    const totalSecs = stages.reduce((sum, { secs }) => sum + secs, 0);
    this.#tell("timing", { turn: timing.turn, reply: timing.reply, stages, totalSecs });
  }

  /** A round trip: from the request to the first byte of the answer, as the browser timed it. */
  async #measureNetwork() {
    const url = new URL("health", this.#base).href;
    try {
      await (await fetch(url, { cache: "no-store" })).arrayBuffer();
    } catch {
      return;
    }
    const { requestStart, responseStart } = performance.getEntriesByName(url).at(-1) ?? {};
    performance.clearResourceTimings();
    if (!responseStart) return;
    this.#network = (responseStart - requestStart) / 1000;
    this.#tell("network", this.#network);
  }

  // ──

  #age() {
    return this.#begun ? (performance.now() - this.#begun) / 1000 : 0;
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#tell("state", state);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * The parts of an answer's delay, one after the other; together they are the whole.
 *
 * Recognition runs while the server waits for the end of the turn, so its time is taken out of that wait. `other` is what
 * no stage accounts for: tools, text before the first whole sentence, and the server itself.
 */
export function stagesOf(timing, networkSecs, soundSecs) {
  const [waited, stt, llm, tts] = PIECES.map((name) => timing[`${name}_secs`] ?? 0);
  const within = Math.min(stt, waited);
  const total = timing.total_secs ?? 0;
  return [
    { name: "pause", secs: waited - within },
    { name: "stt", secs: within },
    { name: "llm", secs: llm },
    { name: "tts", secs: tts },
    { name: "other", secs: Math.max(0, total - waited - llm - tts) },
    { name: "network", secs: networkSecs },
    { name: "sound", secs: soundSecs },
  ];
}

const STAGES = {
  stt: "The speech recogniser failed",
  llm: "The language model failed",
  tts: "The voice failed",
  client: "The server did not understand a message of this page",
};

function explained({ processor, error }) {
  return `${STAGES[processor] ?? "The call has a problem"}: ${error}`;
}
