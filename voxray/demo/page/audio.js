// Microphone and loudspeaker of one call. No DOM.

/** Why there is no microphone, in words for the person in front of the page. */
export class MicrophoneError extends Error {}

const REASONS = {
  NotAllowedError: "The browser does not let this page use the microphone. Allow it beside the address, then start again.",
  NotFoundError: "No microphone was found. Plug one in, then start again.",
  NotReadableError: "The microphone is in use by another program. Close that program, then start again.",
  SecurityError: "The browser's settings forbid the microphone on this page.",
};

/** Ask for the microphone; the browser asks its user. Throws MicrophoneError. */
export async function openMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new MicrophoneError("A browser gives its microphone only to pages on https or on localhost.");
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
  } catch (error) {
    throw new MicrophoneError(REASONS[error.name] ?? `The microphone cannot be used: ${error.message || error.name}.`);
  }
}

/** Both ends of a call's sound. `on` is told `frame(pcm, level)`, `started()`, `drained()`, `mark(name)`, `level(level, played)`. */
export class Sound {
  #context;
  #speaker;
  #microphone;
  #stream;

  /** Must be called while a click is being handled, or the browser keeps the page silent. */
  static async open(on) {
    const sound = new Sound();
    const context = new AudioContext({ latencyHint: "interactive" });
    sound.#context = context;
    try {
      context.resume().catch(() => {}); // not awaited: without a click it waits for one, and the call can go on in text
      await context.audioWorklet.addModule(new URL("worklets.js", import.meta.url));
    } catch (error) {
      await context.close();
      throw error;
    }
    sound.#speaker = new AudioWorkletNode(context, "voxray-speaker", { numberOfInputs: 0, outputChannelCount: [1] });
    sound.#speaker.port.onmessage = ({ data }) => {
      if (data.started !== undefined) on.started();
      else if (data.drained !== undefined) on.drained();
      else if (data.mark !== undefined) on.mark(data.mark);
      else on.level(data.level, data.played);
    };
    sound.#speaker.connect(context.destination);
    return sound;
  }

  /** Listen to `stream`, which `openMicrophone` gave; it is closed with this. */
  listen(stream, frame, ended) {
    const node = new AudioWorkletNode(this.#context, "voxray-microphone", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => frame(data.pcm, data.level);
    this.#context.createMediaStreamSource(stream).connect(node);
    stream.getAudioTracks()[0].addEventListener("ended", ended);
    this.#microphone = node;
    this.#stream = stream;
  }

  get listening() {
    return this.#microphone !== undefined;
  }

  /** Send silence instead of what the microphone hears. */
  set muted(muted) {
    this.#microphone?.port.postMessage({ muted });
  }

  set rate(rate) {
    this.#speaker.port.postMessage({ rate });
  }

  play(pcm) {
    const whole = pcm.byteLength % 2 ? pcm.slice(0, -1) : pcm;
    this.#speaker.port.postMessage({ pcm: whole }, [whole]);
  }

  /** Be silent now. */
  clear() {
    this.#speaker.port.postMessage({ clear: true });
  }

  /** Tell `on.mark` when everything sent before has been played. */
  mark(name) {
    this.#speaker.port.postMessage({ mark: name });
  }

  /** Seconds from handing a sample to the browser to hearing it. */
  get latencySecs() {
    return this.#context.outputLatency || this.#context.baseLatency || 0;
  }

  async close() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    if (this.#context.state !== "closed") await this.#context.close();
  }
}
