// Both sides of calls as a stereo WAV, kept in memory.

const RATE = 16000;
const FRAME_BYTES = 4; // two channels of 16 bits
const PIECE_BYTES = RATE * FRAME_BYTES * 10;

export class Recording {
  /** @type {Blob[]} */
  #pieces = []; // blobs: a browser may keep them on its disk
  /** @type {ArrayBuffer[]} */
  #recent = [];
  #recentBytes = 0;
  #bytes = 0;
  #maxBytes;

  /** @param {{ maxSecs?: number }} [options] what comes later than `maxSecs` is not kept */
  constructor({ maxSecs = 3600 } = {}) {
    this.#maxBytes = maxSecs * RATE * FRAME_BYTES;
  }

  get secs() {
    return this.#bytes / (RATE * FRAME_BYTES);
  }

  get full() {
    return this.#bytes >= this.#maxBytes;
  }

  /** @param {ArrayBuffer} pcm of the client's `sound` */
  add(pcm) {
    const kept = pcm.slice(0, Math.min(pcm.byteLength, this.#maxBytes - this.#bytes));
    if (!kept.byteLength) return;
    this.#recent.push(kept);
    this.#recentBytes += kept.byteLength;
    this.#bytes += kept.byteLength;
    if (this.#recentBytes < PIECE_BYTES) return;
    this.#pieces.push(new Blob(this.#recent));
    this.#recent = [];
    this.#recentBytes = 0;
  }

  /** A WAV file: left what the microphone heard, right the agent as it was played. */
  wav() {
    return new Blob([header(this.#bytes), ...this.#pieces, ...this.#recent], { type: "audio/wav" });
  }
}

/** @param {number} bytes of sound */
function header(bytes) {
  const view = new DataView(new ArrayBuffer(44));
  /** @type {(at: number, text: string) => void} */
  const write = (at, text) => [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 2, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * FRAME_BYTES, true);
  view.setUint16(32, FRAME_BYTES, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, bytes, true);
  return view.buffer;
}
