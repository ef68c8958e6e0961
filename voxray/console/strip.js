// The last seconds of both sides as two waves, the caller above, the agent below, and where an answer was cut off.

const SECS = 12;
const STEP_MS = 40;
const COLUMNS = (SECS * 1000) / STEP_MS;
const CALM_STEPS = 12; // between two pictures where motion is unwelcome

export class Strip {
  #canvas;
  #columns = [];
  #now = { microphone: 0, agent: 0, cut: false };
  #timer;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
  }

  /** Levels from 0 to 1, as they are shown. */
  level(who, level) {
    this.#now[who] = Math.max(this.#now[who], level);
  }

  cut() {
    this.#now.cut = true;
  }

  start() {
    if (this.#timer) return;
    this.#columns = [];
    this.#timer = setInterval(() => this.#step(), STEP_MS);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#draw();
  }

  #step() {
    this.#columns.push(this.#now);
    if (this.#columns.length > COLUMNS) this.#columns.shift();
    this.#now = { microphone: 0, agent: 0, cut: false };
    this.#count = (this.#count + 1) % CALM_STEPS;
    if (!this.#calm.matches || this.#count === 0) this.#draw();
  }

  #count = 0;

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#canvas.width = width * devicePixelRatio;
    this.#canvas.height = height * devicePixelRatio;
    const pen = this.#canvas.getContext("2d");
    const color = (name) => getComputedStyle(this.#canvas).getPropertyValue(name);
    pen.scale(devicePixelRatio, devicePixelRatio);
    const middle = height / 2;
    const wide = width / COLUMNS;
    const first = width - this.#columns.length * wide;
    pen.fillStyle = color("--line");
    pen.fillRect(0, middle - 0.5, width, 1);
    const tints = { hearing: color("--hearing"), accent: color("--accent"), danger: color("--danger") };
    this.#columns.forEach(({ microphone, agent, cut }, at) => {
      const left = first + at * wide;
      pen.fillStyle = tints.hearing;
      pen.fillRect(left, middle - microphone * middle, Math.max(1, wide - 0.3), microphone * middle);
      pen.fillStyle = tints.accent;
      pen.fillRect(left, middle, Math.max(1, wide - 0.3), agent * middle);
      if (!cut) return;
      pen.fillStyle = tints.danger;
      pen.fillRect(left - 1, 0, 2, height);
    });
  }
}
