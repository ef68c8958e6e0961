// Where the time of an answer went.

/** @typedef {import("./types.js").Stage} Stage */

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
