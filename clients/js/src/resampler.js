// Changes the rate of a stream of samples: a polyphase filter, so that nothing above half the lower rate folds back.

const ZEROS = 16; // of the sinc on each side, at the lower rate: 60 dB down within a tenth of the band, 1 ms late
const SHAPE = 7.5; // of the Kaiser window
const BAND = 0.93; // of the lower Nyquist frequency

export class Resampler {
  kept = new Float32Array(0);
  index = 0;
  phase = 0;

  /**
   * @param {number} from rate in Hz
   * @param {number} to
   */
  constructor(from, to) {
    const common = divisor(from, to);
    this.up = to / common;
    this.down = from / common;
    const scale = Math.min(1, to / from);
    this.half = Math.ceil(ZEROS / scale);
    this.table = phases(this.up, this.half, scale * BAND);
    this.reset();
  }

  /** Forget what came before: the next samples belong to another sound. */
  reset() {
    this.kept = new Float32Array(this.half - 1);
    this.index = this.half - 1;
    this.phase = 0;
  }

  /**
   * The next samples at the new rate.
   *
   * @param {Float32Array} samples
   */
  push(samples) {
    if (this.up === this.down) return samples.slice();
    const buffer = new Float32Array(this.kept.length + samples.length);
    buffer.set(this.kept);
    buffer.set(samples, this.kept.length);
    const out = new Float32Array(Math.ceil((samples.length * this.up) / this.down) + 1);
    const taps = this.half * 2;
    let made = 0;
    while (this.index + this.half < buffer.length) {
      const weights = this.table[this.phase];
      const first = this.index - this.half + 1;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) sum += buffer[first + tap] * weights[tap];
      out[made++] = sum;
      this.phase += this.down;
      this.index += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    const start = Math.min(this.index - this.half + 1, buffer.length);
    this.kept = buffer.slice(start);
    this.index -= start;
    return out.subarray(0, made);
  }
}

/** @type {(count: number, half: number, cutoff: number) => Float32Array[]} */
function phases(count, half, cutoff) {
  return Array.from({ length: count }, (_, phase) => {
    const weights = new Float32Array(half * 2);
    let sum = 0;
    for (let tap = 0; tap < weights.length; tap++) {
      const x = tap - half + 1 - phase / count;
      weights[tap] = sinc(cutoff * x) * kaiser(x / half);
      sum += weights[tap];
    }
    return weights.map((weight) => weight / sum);
  });
}

/** @param {number} x */
function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** @param {number} x */
function kaiser(x) {
  return Math.abs(x) > 1 ? 0 : bessel(SHAPE * Math.sqrt(1 - x * x)) / bessel(SHAPE);
}

/** @param {number} x */
function bessel(x) {
  let sum = 1;
  for (let k = 1, term = 1; term > 1e-9 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** @type {(a: number, b: number) => number} */
function divisor(a, b) {
  return b ? divisor(b, a % b) : a;
}
