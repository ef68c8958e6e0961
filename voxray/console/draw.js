// One item of the conversation, one bar of a waterfall, one line of the log, as elements.

import { splitHeard } from "../client/index.js";

const LOG_LINES = 500;

export const STAGE_NAMES = {
  pause: "Your pause",
  stt: "Recogniser",
  llm: "Model",
  tts: "Voice",
  other: "Other",
  network: "Network",
  sound: "Playback",
};

/** "0.74 s", or milliseconds below 100. */
export function secs(value) {
  return value < 0.0995 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(2)} s`;
}

/** Make `row` show `item`. */
export function draw(row, item) {
  row.className = `item ${item.who}`;
  const parts = { user: drawUser, agent: drawAgent, tool: drawTool, note: drawNote }[item.who](item);
  row.replaceChildren(...parts);
  if (item.kind) row.dataset.kind = item.kind;
}

function drawUser({ text, interim }) {
  const words = element("div", "words", element("span", "unseen", "You: "), text);
  if (text && interim) words.append(" ");
  if (interim) words.append(element("span", "interim", interim));
  return [words];
}

function drawAgent({ text, heard, heardSecs, cut, over, timing }) {
  const words = element("div", "words", element("span", "unseen", "Agent: "));
  const [before, after] = over && !cut ? [text, ""] : splitHeard(text, heard);
  words.append(before);
  if (after) words.append(cut ? element("del", "cut", after) : element("span", over ? "" : "ahead", after));
  const small = element("div", "small");
  if (timing) {
    const bar = waterfall(timing.stages, timing.totalSecs);
    small.append(bar, element("span", "", `answered in ${secs(timing.totalSecs)}`));
  }
  if (cut) small.append(element("span", "mark", heard ? `cut off after ${secs(heardSecs ?? 0)}` : "cut off before it was heard"));
  return small.hasChildNodes() ? [words, small] : [words];
}

function drawTool({ name, arguments: given, result, failed }) {
  const written = Object.entries(given).map(([key, value]) => `${key}: ${text(value)}`).join(", ");
  const parts = [element("code", "", `${name}(${written})`)];
  if (result !== undefined) parts.push(element("span", "", failed ? " failed: " : " → "), element("code", "", short(text(result), 160)));
  return parts;
}

function drawNote({ text: words }) {
  return [words];
}

/** A bar of stages, `scaleSecs` wide. */
export function waterfall(stages, scaleSecs) {
  const bar = element("div", "bar");
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", stages.map(({ name, secs: value }) => `${STAGE_NAMES[name]} ${secs(value)}`).join(", "));
  for (const { name, secs: value } of stages) {
    if (value <= 0) continue;
    const piece = element("span");
    piece.dataset.stage = name;
    piece.style.width = `${((value / scaleSecs) * 100).toFixed(2)}%`;
    piece.title = `${STAGE_NAMES[name]}: ${secs(value)}`;
    bar.append(piece);
  }
  return bar;
}

/** The last messages both ways, newest at the end. */
export class Log {
  #list;
  #count;
  #seen = 0;

  constructor(list, count) {
    this.#list = list;
    this.#count = count;
  }

  add(at, way, type, data) {
    const line = element("li", way);
    const filled = Object.keys(data).length ? short(JSON.stringify(data), 400) : "";
    line.append(
      element("time", "", at.toFixed(2)),
      element("span", "", `${way === "in" ? "←" : "→"} ${type} `, element("span", "data", filled)),
    );
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(line);
    while (list.childElementCount > LOG_LINES) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
    this.#count.textContent = String(++this.#seen);
  }
}

export function element(tag, className = "", ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function short(words, length) {
  return words.length > length ? `${words.slice(0, length - 1)}…` : words;
}
