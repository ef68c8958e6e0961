// A call's sound on the audio thread: what the microphone hears, what the agent says, and a recorder of both.

import { Resampler } from "./resampler.js";

const HEARD_RATE = 16000;
const FRAME = 320; // samples: 20 ms
const PREBUFFER_SECS = 0.04; // hides the jitter of a local network
const PREBUFFER_WAIT_SECS = 0.08; // then even a shorter sound is played
const FADE_SECS = 0.003; // a cut without it would click
const REPORT_SECS = 0.033;
const AUDIBLE = 0.002; // a decoder's silence is below
const GAP_SECS = 0.1; // of silence: what follows is a new beginning
const TAIL_SECS = 0.01; // of silence: what was cut off has drained from the jitter buffer
const TAIL_WAIT_SECS = 0.25; // then even a new answer that follows without a pause is let through
const RECORDED_FRAMES = 1600; // 0.1 s

/** Posts `{pcm, level}` for each 20 ms: PCM16 at 16 kHz, and its RMS (0..1). */
class Microphone extends AudioWorkletProcessor {
  resampler = new Resampler(sampleRate, HEARD_RATE);
  frame = new Int16Array(FRAME);
  filled = 0;
  power = 0;

  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    if (channels.length) this.take(this.resampler.push(mono(channels)));
    return true;
  }

  /** @param {Float32Array} samples */
  take(samples) {
    for (const sample of samples) {
      const value = clipped(sample);
      this.power += value * value;
      this.frame[this.filled++] = Math.round(value * 32767);
      if (this.filled === FRAME) this.deliver();
    }
  }

  deliver() {
    const pcm = this.frame.buffer;
    this.port.postMessage({ pcm, level: Math.sqrt(this.power / FRAME) }, [pcm]);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.power = 0;
  }
}

/**
 * Plays what it is sent, in order; `clear` stops it within 3 ms.
 *
 * Takes `{pcm}`, `{mark}`, `{rate}`, `{clear: true}`. Posts `{started: true}`, `{mark}`, `{level, played}`.
 */
class Speaker extends AudioWorkletProcessor {
  resampler = new Resampler(24000, sampleRate);
  /** @type {(Float32Array | string)[]} */
  queue = []; // samples, or names of marks
  queued = 0; // samples
  position = 0; // in the first item
  playing = false;
  waited = 0;
  fading = 0; // samples left to fade
  meter = new Meter(this.port);

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.obey(data);
  }

  /** @param {{ pcm?: ArrayBuffer, mark?: string, rate?: number, clear?: boolean }} data */
  obey(data) {
    if (data.pcm) this.add(data.pcm);
    else if (data.mark !== undefined) this.mark(data.mark);
    else if (data.rate) this.resampler = new Resampler(data.rate, sampleRate);
    else if (data.clear) this.fading = Math.min(this.playing ? Math.round(FADE_SECS * sampleRate) : 0, this.queued);
    if (data.clear && !this.fading) this.drop();
  }

  /** @param {ArrayBuffer} pcm */
  add(pcm) {
    if (this.fading) this.drop(); // what comes after a clear is another answer
    const samples = this.resampler.push(Float32Array.from(new Int16Array(pcm), (value) => value / 32768));
    if (!samples.length) return;
    this.queue.push(samples);
    this.queued += samples.length;
  }

  /** @param {string} name */
  mark(name) {
    if (this.queue.length) this.queue.push(name);
    else this.port.postMessage({ mark: name });
  }

  drop() {
    this.queue = [];
    this.queued = 0;
    this.position = 0;
    this.fading = 0;
    this.resampler.reset();
    this.rest();
  }

  rest() {
    this.playing = false;
    this.waited = 0;
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, [[out]]) {
    if (!this.playing && this.queued) this.begin(out.length);
    if (this.playing) {
      for (let at = 0; at < out.length; at++) out[at] = this.next();
      this.meter.played += out.length;
      if (!this.queued && this.playing) this.rest();
    }
    this.meter.see(out);
    return true;
  }

  /** @param {number} size */
  begin(size) {
    this.waited += size;
    if (this.queued < PREBUFFER_SECS * sampleRate && this.waited < PREBUFFER_WAIT_SECS * sampleRate) return;
    this.playing = true;
    this.port.postMessage({ started: true });
  }

  next() {
    this.pass();
    const samples = this.queue[0];
    if (samples === undefined || typeof samples === "string") return 0;
    const sample = samples[this.position++];
    this.queued--;
    if (this.position === samples.length) {
      this.queue.shift();
      this.position = 0;
      this.pass();
    }
    if (!this.fading) return sample;
    const share = this.fading-- / (FADE_SECS * sampleRate);
    if (!this.fading) this.drop();
    return sample * share;
  }

  /** Tell of the marks that have been reached. */
  pass() {
    while (typeof this.queue[0] === "string") this.port.postMessage({ mark: this.queue.shift() });
  }
}

/**
 * Lets the sound of a track through; `clear` stops it within 3 ms, whatever the jitter buffer still holds, and `allow`
 * lets the next answer pass.
 *
 * Takes `{clear: true}`, `{allow: true}`. Posts `{started: true}` once for each `allow`, when the answer is heard, and
 * `{level, played}`.
 */
class Gate extends AudioWorkletProcessor {
  open = true;
  allowed = true;
  gain = 1;
  silent = GAP_SECS; // seconds that nothing came in
  waited = 0;
  unheard = GAP_SECS; // seconds that nothing went out
  lasted = 0; // seconds since the sound began
  expected = false; // an answer, which was not heard yet
  meter = new Meter(this.port);

  constructor() {
    super();
    this.port.onmessage = ({ data }) => (data.clear ? this.close() : this.allow());
  }

  close() {
    this.open = this.allowed = false;
    this.silent = 0;
  }

  allow() {
    this.allowed = true;
    this.waited = 0;
    this.expected = true;
    if (this.unheard === 0 && this.lasted < GAP_SECS) this.begin(); // its sound was faster than the word
  }

  begin() {
    this.expected = false;
    this.port.postMessage({ started: true });
  }

  /**
   * @param {Float32Array[][]} inputs
   * @param {Float32Array[][]} outputs
   */
  process([channels], [[out]]) {
    const secs = out.length / sampleRate;
    const sound = channels.length ? mono(channels) : undefined;
    this.silent = sound && loudest(sound) > AUDIBLE ? 0 : this.silent + secs;
    if (!this.open && this.allowed) {
      this.waited += secs;
      this.open = this.silent === 0 ? this.waited > TAIL_WAIT_SECS : this.silent > TAIL_SECS;
    }
    const step = 1 / (FADE_SECS * sampleRate);
    for (let at = 0; at < out.length; at++) {
      this.gain = this.open ? Math.min(1, this.gain + step) : Math.max(0, this.gain - step);
      out[at] = sound ? sound[at] * this.gain : 0;
    }
    this.notice(out, secs);
    return true;
  }

  /**
   * @param {Float32Array} out
   * @param {number} secs
   */
  notice(out, secs) {
    if (loudest(out) > AUDIBLE) {
      if (this.unheard >= GAP_SECS) this.lasted = 0;
      if (this.expected && this.unheard >= TAIL_SECS) this.begin();
      this.unheard = 0;
      this.lasted += secs;
    } else this.unheard += secs;
    if (this.unheard < GAP_SECS) this.meter.played += out.length;
    this.meter.see(out);
  }
}

/** Posts `{level, played}` of what it sees: RMS (0..1), and seconds that were played. */
class Meter {
  played = 0; // samples; its owner counts them
  power = 0;
  seen = 0;

  /** @param {MessagePort} port */
  constructor(port) {
    this.port = port;
  }

  /** @param {Float32Array} samples */
  see(samples) {
    for (const sample of samples) this.power += sample * sample;
    this.seen += samples.length;
    if (this.seen < REPORT_SECS * sampleRate) return;
    this.port.postMessage({ level: Math.sqrt(this.power / this.seen), played: this.played / sampleRate });
    this.power = 0;
    this.seen = 0;
  }
}

/** Posts `{pcm}`: its two inputs side by side, PCM16 at 16 kHz. An input without a source is silence. */
class Recorder extends AudioWorkletProcessor {
  sides = [new Resampler(sampleRate, HEARD_RATE), new Resampler(sampleRate, HEARD_RATE)];
  frames = new Int16Array(RECORDED_FRAMES * 2);
  filled = 0;

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const size = Math.max(...inputs.map((channels) => channels[0]?.length ?? 0));
    if (!size) return true; // both sources are away
    const [left, right] = this.sides.map((side, at) => side.push(inputs[at].length ? mono(inputs[at]) : new Float32Array(size)));
    for (let at = 0; at < left.length; at++) {
      this.frames[this.filled++] = Math.round(clipped(left[at]) * 32767);
      this.frames[this.filled++] = Math.round(clipped(right[at]) * 32767);
      if (this.filled === this.frames.length) this.deliver();
    }
    return true;
  }

  deliver() {
    const pcm = this.frames.buffer;
    this.port.postMessage({ pcm }, [pcm]);
    this.frames = new Int16Array(RECORDED_FRAMES * 2);
    this.filled = 0;
  }
}

/** @param {number} sample */
function clipped(sample) {
  return Math.max(-1, Math.min(1, sample));
}

/** @param {Float32Array} samples */
function loudest(samples) {
  let found = 0;
  for (const sample of samples) found = Math.max(found, Math.abs(sample));
  return found;
}

/** @param {Float32Array[]} channels */
function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length);
}

registerProcessor("voxray-microphone", Microphone);
registerProcessor("voxray-speaker", Speaker);
registerProcessor("voxray-gate", Gate);
registerProcessor("voxray-recorder", Recorder);
