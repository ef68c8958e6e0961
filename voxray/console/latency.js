// The panel that shows where the time of each answer went.

import { STAGE_NAMES, element, secs, waterfall } from "./draw.js";

const KEPT = 30;

export class Latency {
  #list;
  #legend;
  #empty;
  #timings = [];

  constructor(list, legend, empty) {
    this.#list = list;
    this.#legend = legend;
    this.#empty = empty;
  }

  begin() {
    this.#timings = [];
    this.#draw();
  }

  add(timing) {
    this.#timings = [timing, ...this.#timings].slice(0, KEPT);
    this.#draw();
  }

  #draw() {
    const [latest] = this.#timings;
    this.#empty.hidden = latest !== undefined;
    this.#legend.hidden = latest === undefined;
    const scale = Math.max(...this.#timings.map(({ totalSecs }) => totalSecs), 0.001);
    this.#list.replaceChildren(
      ...this.#timings.map(({ turn, stages, totalSecs }) => {
        const head = element("div", "", element("span", "", `Turn ${turn}`), element("b", "", secs(totalSecs)));
        return element("li", "", head, waterfall(stages, scale));
      }),
    );
    if (latest) this.#legend.replaceChildren(...latest.stages.map(entry));
  }
}

function entry({ name, secs: value }) {
  const term = element("dt", "", STAGE_NAMES[name]);
  const row = element("div", "", term, element("dd", "", secs(value)));
  row.dataset.stage = name;
  return row;
}
