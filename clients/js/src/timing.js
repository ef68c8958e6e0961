// Where the time of an answer went.

/** @typedef {import("./types.js").Stage} Stage */
/** @typedef {import("./types.js").Timing} Timing */

const PIECES = ["waited", "stt", "llm_first_token", "tts_first_audio"];

/**
 * The parts of an answer's delay, one after the other; together they are the whole.
 *
 * Recognition runs while the server waits for the end of the turn, so its time is taken out of that wait. `other` is what
 * no stage accounts for: tools, text before the first whole sentence, and the server itself.
 *
 * @param {Record<string, number>} timing of a TurnTimingFrame
 * @param {number} networkSecs
 * @param {number} soundSecs
 * @returns {Stage[]}
 */
function stagesOf(timing, networkSecs, soundSecs) {
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

/** The answer under way: when its sound came, when it was heard, and what the server tells of it. */
export class Answer {
  /** @type {number | undefined} */
  #arrivedAt;
  /** @type {number | undefined} */
  #playedAt;
  /** @type {Record<string, number> | undefined} */
  #timing;
  #told = false;

  /** @param {number} [number] of the reply; none yet for one that was only asked for */
  constructor(number) {
    this.number = number;
  }

  arrived() {
    this.#arrivedAt ??= performance.now();
  }

  heard() {
    if (this.#arrivedAt !== undefined) this.#playedAt ??= performance.now();
  }

  /** @param {Record<string, any>} timing of the server */
  timed(timing) {
    this.#timing = timing;
  }

  /**
   * Where the time went; once, as soon as all is known.
   *
   * @param {number} networkSecs
   * @param {number} latencySecs from the browser to the ear
   * @returns {Timing | undefined}
   */
  take(networkSecs, latencySecs) {
    if (this.#told || !this.#timing || this.#playedAt === undefined || this.#arrivedAt === undefined) return undefined;
    this.#told = true;
    const stages = stagesOf(this.#timing, networkSecs, (this.#playedAt - this.#arrivedAt) / 1000 + latencySecs);
    const totalSecs = stages.reduce((sum, { secs }) => sum + secs, 0);
    return { turn: this.#timing.turn, reply: this.#timing.reply, stages, totalSecs };
  }
}
