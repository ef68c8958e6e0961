// Microphone, loudspeaker and recorder of one call. No DOM, but for an element that is never attached.

/**
 * @typedef {object} SoundEvents
 * @property {() => void} started  the first sample after a silence is being played
 * @property {(name: string) => void} mark
 * @property {(level: number, playedSecs: number) => void} level
 * @property {(pcm: ArrayBuffer) => void} recorded
 */

export class Sound {
  #context;
  #on;
  /** @type {GainNode} */
  #output;
  /** @type {AudioWorkletNode | undefined} */
  #speaker;
  /** @type {AudioWorkletNode | undefined} */
  #gate;
  /** @type {MediaStreamAudioSourceNode | undefined} */
  #remote;
  /** @type {HTMLAudioElement | undefined} */
  #pump;
  /** @type {AudioWorkletNode | undefined} */
  #recorder;
  /** @type {{ stream: MediaStream, source: MediaStreamAudioSourceNode, node: AudioWorkletNode } | undefined} */
  #microphone;
  #muted = false;

  /** Must be made while a click is being handled, or the browser keeps the page silent.
   *
   * @param {SoundEvents} on
   */
  constructor(on) {
    this.#on = on;
    this.#context = new AudioContext({ latencyHint: "interactive" });
    this.#output = new GainNode(this.#context);
    this.#output.connect(this.#context.destination);
    this.#context.resume().catch(() => {}); // not awaited: without a click it waits for one, and the call can go on in text
  }

  /**
   * Load what runs on the audio thread. Throws Error.
   *
   * @param {{ record: boolean }} options
   */
  async ready({ record }) {
    await this.#context.audioWorklet.addModule(new URL("worklets.js", import.meta.url));
    if (!record) return;
    this.#recorder = new AudioWorkletNode(this.#context, "voxray-recorder", { numberOfInputs: 2, numberOfOutputs: 0 });
    this.#recorder.port.onmessage = ({ data }) => this.#on.recorded(data.pcm);
    this.#output.connect(this.#recorder, 0, 1);
  }

  /**
   * Listen to `stream`; it is stopped with this, or when another one takes its place.
   *
   * @param {MediaStream} stream
   * @param {(pcm: ArrayBuffer, level: number) => void} frame  20 ms of PCM16 at 16 kHz, and their RMS
   * @param {() => void} ended
   */
  listen(stream, frame, ended) {
    this.#unlisten();
    const node = new AudioWorkletNode(this.#context, "voxray-microphone", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => frame(data.pcm, data.level);
    const source = this.#context.createMediaStreamSource(stream);
    source.connect(node);
    if (this.#recorder) source.connect(this.#recorder, 0, 0);
    stream.getAudioTracks()[0].addEventListener("ended", ended);
    this.#microphone = { stream, source, node };
    this.muted = this.#muted;
  }

  #unlisten() {
    this.#microphone?.stream.getTracks().forEach((track) => track.stop());
    this.#microphone?.source.disconnect();
    this.#microphone = undefined;
  }

  get listening() {
    return this.#microphone !== undefined;
  }

  /** Hear silence instead of the microphone. */
  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = muted;
    this.#microphone?.stream.getTracks().forEach((track) => (track.enabled = !muted));
  }

  // ── sound that comes in pieces ──

  /** @param {number} rate of what `play` is given, in Hz */
  setRate(rate) {
    this.#player().port.postMessage({ rate });
  }

  /** @param {ArrayBuffer} pcm */
  play(pcm) {
    const whole = pcm.byteLength % 2 ? pcm.slice(0, -1) : pcm;
    this.#player().port.postMessage({ pcm: whole }, [whole]);
  }

  /**
   * Tell `on.mark` when everything sent before has been played.
   *
   * @param {string} name
   */
  mark(name) {
    this.#player().port.postMessage({ mark: name });
  }

  #player() {
    this.#speaker ??= this.#source("voxray-speaker", 0);
    return this.#speaker;
  }

  // ── sound that comes as a track ──

  /** @param {MediaStream} stream of the agent; replaces the one before */
  hear(stream) {
    this.#gate ??= this.#source("voxray-gate", 1);
    this.#remote?.disconnect();
    this.#remote = this.#context.createMediaStreamSource(stream);
    this.#remote.connect(this.#gate);
    // Chromium decodes a remote track only while an element plays it.
    this.#pump ??= new Audio();
    this.#pump.muted = true;
    this.#pump.srcObject = stream;
    this.#pump.play().catch(() => {});
  }

  /** A new reply begins: after `clear` its sound may be heard again. */
  allow() {
    this.#gate?.port.postMessage({ allow: true });
  }

  /**
   * @param {string} processor
   * @param {number} inputs
   */
  #source(processor, inputs) {
    const node = new AudioWorkletNode(this.#context, processor, { numberOfInputs: inputs, outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => {
      if (data.started) this.#on.started();
      else if (data.mark !== undefined) this.#on.mark(data.mark);
      else this.#on.level(data.level, data.played);
    };
    node.connect(this.#output);
    return node;
  }

  // ──

  /** Be silent within 3 ms. */
  clear() {
    this.#speaker?.port.postMessage({ clear: true });
    this.#gate?.port.postMessage({ clear: true });
  }

  /**
   * Play on this loudspeaker. Throws Error: it is gone, or the browser has no such choice.
   *
   * @param {string} id of `listDevices()`; the browser's choice if empty
   */
  async setOutput(id) {
    const context = /** @type {AudioContext & { setSinkId?: (id: string) => Promise<void>, sinkId?: string }} */ (this.#context);
    if (id === (context.sinkId ?? "")) return;
    if (!context.setSinkId) throw new Error("this browser has no choice of loudspeakers");
    await context.setSinkId(id);
  }

  /** Seconds from handing a sample to the browser to hearing it. */
  get latencySecs() {
    return this.#context.outputLatency || this.#context.baseLatency || 0;
  }

  async close() {
    this.#unlisten();
    if (this.#pump) this.#pump.srcObject = null;
    if (this.#context.state !== "closed") await this.#context.close();
  }
}
