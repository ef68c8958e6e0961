// The two ends of a call's sound, on the audio thread: what the microphone hears, and what the agent says.

import { Resampler } from "./resampler.js";

const HEARD_RATE = 16000;
const FRAME = 320; // samples: 20 ms
const PREBUFFER_SECS = 0.04; // hides the jitter of a local network
const PREBUFFER_WAIT_SECS = 0.08; // then even a shorter sound is played
const FADE_SECS = 0.003; // a cut without it would click
const REPORT_SECS = 0.033;

/** Posts `{pcm, level}` for each 20 ms: PCM16 at 16 kHz, and its RMS (0..1). */
class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, HEARD_RATE);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.power = 0;
    this.muted = false;
    this.port.onmessage = ({ data }) => {
      this.muted = data.muted;
    };
  }

  process([channels]) {
    if (channels.length) this.take(this.resampler.push(mono(channels)));
    return true;
  }

  take(samples) {
    for (const sample of samples) {
      const value = this.muted ? 0 : Math.max(-1, Math.min(1, sample));
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
 * Takes `{pcm}`, `{mark}`, `{rate}`, `{clear: true}`. Posts `{started}`, `{drained}`, `{mark}`, `{level, played}`.
 */
class Speaker extends AudioWorkletProcessor {
  constructor() {
    super();
    this.setRate(24000);
    this.queue = []; // samples, or names of marks
    this.queued = 0; // samples
    this.position = 0; // in the first item
    this.playing = false;
    this.waited = 0;
    this.fading = 0; // samples left to fade
    this.played = 0;
    this.power = 0;
    this.counted = 0;
    this.port.onmessage = ({ data }) => this.obey(data);
  }

  obey(data) {
    if (data.pcm) this.add(data.pcm);
    else if (data.mark !== undefined) this.mark(data.mark);
    else if (data.rate) this.setRate(data.rate);
    else if (data.clear) this.fading = Math.min(this.playing ? Math.round(FADE_SECS * sampleRate) : 0, this.queued);
    if (data.clear && !this.fading) this.drop();
  }

  setRate(rate) {
    this.resampler = new Resampler(rate, sampleRate);
  }

  add(pcm) {
    if (this.fading) this.drop(); // what comes after a clear is another answer
    const samples = this.resampler.push(Float32Array.from(new Int16Array(pcm), (value) => value / 32768));
    if (!samples.length) return;
    this.queue.push(samples);
    this.queued += samples.length;
  }

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
    if (this.playing) this.port.postMessage({ drained: currentTime });
    this.playing = false;
    this.waited = 0;
  }

  process(_inputs, [[out]]) {
    if (!this.playing && this.queued) this.begin(out.length);
    if (this.playing) {
      for (let at = 0; at < out.length; at++) out[at] = this.next();
      if (!this.queued && this.playing) this.rest();
    }
    for (const sample of out) this.power += sample * sample;
    this.counted += out.length;
    if (this.counted >= REPORT_SECS * sampleRate) this.report();
    return true;
  }

  begin(size) {
    this.waited += size;
    if (this.queued < PREBUFFER_SECS * sampleRate && this.waited < PREBUFFER_WAIT_SECS * sampleRate) return;
    this.playing = true;
    this.port.postMessage({ started: currentTime });
  }

  next() {
    while (this.queue.length && typeof this.queue[0] === "string") this.port.postMessage({ mark: this.queue.shift() });
    if (!this.queue.length) return 0;
    const sample = this.queue[0][this.position++];
    this.queued--;
    this.played++;
    if (this.position === this.queue[0].length) {
      this.queue.shift();
      this.position = 0;
      while (typeof this.queue[0] === "string") this.port.postMessage({ mark: this.queue.shift() });
    }
    if (!this.fading) return sample;
    const share = this.fading-- / (FADE_SECS * sampleRate);
    if (!this.fading) this.drop();
    return sample * share;
  }

  report() {
    this.port.postMessage({ level: Math.sqrt(this.power / this.counted), played: this.played / sampleRate });
    this.power = 0;
    this.counted = 0;
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length);
}

registerProcessor("voxray-microphone", Microphone);
registerProcessor("voxray-speaker", Speaker);
