// The conversation and its sound as files, from this page's own memory.

import { splitHeard } from "../client/index.js";

/** The conversation for people to read. */
export function transcriptText(items, title) {
  const lines = items.map((item) => `${clock(item.at)}  ${line(item)}`);
  return [`Conversation with ${title || "a Voxray agent"}, ${new Date().toLocaleDateString("sv")}`, "", ...lines, ""].join("\n");
}

/** And for programs. */
export function transcriptJson(items, title) {
  const made = items.map(({ id, at, timing, heardSecs, ...rest }) => ({
    at: new Date(at).toISOString(),
    ...rest,
    ...(heardSecs === undefined ? {} : { heard_secs: heardSecs }),
    ...(timing ? { total_secs: timing.totalSecs, stages: Object.fromEntries(timing.stages.map((it) => [it.name, it.secs])) } : {}),
  }));
  return JSON.stringify({ agent: title, saved_at: new Date().toISOString(), items: made }, null, 2);
}

/** Let the browser save `content`. */
export function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A name with the date and time in it. */
export function fileName(kind, ending) {
  return `voxray-${kind}-${new Date().toLocaleString("sv").replace(" ", "-").replaceAll(":", "")}.${ending}`;
}

function line({ who, text, heard = "", heardSecs = 0, cut, typed, name, arguments: given, result, failed }) {
  if (who === "user") return `You    ${text}${typed ? " (typed)" : ""}`;
  if (who === "tool") return `Tool   ${name}(${JSON.stringify(given)})${result === undefined ? "" : failed ? ` failed: ${flat(result)}` : ` = ${flat(result)}`}`;
  if (who === "note") return `       (${text})`;
  if (!cut) return `Agent  ${text}`;
  const [before, after] = splitHeard(text, heard);
  return `Agent  ${before.trim()} [cut off after ${heardSecs.toFixed(2)} s; not heard: ${after.trim()}]`;
}

function flat(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function clock(at) {
  return new Date(at).toLocaleTimeString("sv");
}
