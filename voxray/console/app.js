// The console: what the client tells, made visible, and what people press, passed on.

import { Client, Conversation, MicrophoneError, Recording } from "../client/index.js";
import { fileName, save, transcriptJson, transcriptText } from "./downloads.js";
import { Log, draw } from "./draw.js";
import { makeKeypad } from "./keypad.js";
import { Latency } from "./latency.js";
import { Settings } from "./settings.js";
import { Strip } from "./strip.js";

const $ = (id) => document.getElementById(id);
const FLOOR_DB = -54; // of the meters
const FLASH_MS = 900;
const CALM_ENDS = ["client_asked", "agent_ended", "caller_left"];

const STATES = {
  idle: ["Ready", "Talk with your microphone, or type."],
  connecting: ["Connecting", "Calling the agent."],
  listening: ["Listening", "Say something."],
  hearing: ["Hearing you", "Go on; a short pause ends your turn."],
  thinking: ["Thinking", "The answer is on its way."],
  speaking: ["Speaking", "Speak to interrupt it, or press Esc."],
  retrying: ["Calling again", ""],
  ended: ["Call ended", "Start again whenever you like."],
};
const TYPED = { listening: "Type below.", hearing: "", speaking: "Interrupt it, or press Esc." };
const WAYS = { websocket: "WebSocket", webrtc: "WebRTC" };

const client = new Client(new URL(".", location.href).href);
const conversation = new Conversation(showItem);
const recording = new Recording();
const latency = new Latency($("turns"), $("legend"), $("latency-empty"));
const log = new Log($("entries"), $("log-count"));
const strip = new Strip($("strip"));
const settings = new Settings(client, settingsClosed);
const rows = new Map(); // item id → element
let about = {};
let wanted; // what to do once there is a key

window.voxray = { client, conversation, recording, settings }; // for the curious, and for tests

// ── the call ──

client.on("state", (state) => {
  const [title, hint] = STATES[state];
  $("orb").dataset.state = state;
  $("state").textContent = state === "listening" && client.muted ? "Muted" : title;
  $("hint").textContent = (!client.listening && TYPED[state]) || hint;
  $("before").hidden = client.busy;
  $("during").hidden = !client.busy;
  $("mute").hidden = !client.listening;
  $("hush").disabled = state !== "speaking";
  $("end").textContent = state === "retrying" ? "Give up" : "End call";
  $("link").dataset.on = client.inCall ? "yes" : client.busy ? "wait" : "no";
  if (!client.inCall) $("link-text").textContent = client.busy ? "Connecting" : "Not connected";
  else if (!$("link-text").textContent.startsWith(WAYS[client.transport])) $("link-text").textContent = WAYS[client.transport];
  if (client.inCall) strip.start();
  else strip.stop();
});

client.on("frame", ({ at, type, data }) => {
  log.add(at, "in", type, data);
  if (type === "StartFrame") begin();
  conversation.see(type, data);
  if (type === "InterruptionFrame") interrupted(data);
  if (type === "OutputDTMFUrgentFrame") conversation.note(`The agent pressed ${data.button}`);
});
client.on("sent", ({ at, type, data }) => log.add(at, "out", type, data));
client.on("network", (secs) => {
  if (client.inCall) $("link-text").textContent = `${WAYS[client.transport]}, ${Math.max(1, Math.round(secs * 1000))} ms`;
});
client.on("connection", (how) => {
  $("link").dataset.on = how === "restored" ? "yes" : "wait";
  notify(how === "restored" ? "" : "The connection is disturbed. The call goes on as soon as it is back.", "error");
  conversation.note(how === "restored" ? "The connection is back" : "The connection was disturbed");
});
client.on("timing", (timing) => {
  conversation.timing(timing);
  latency.add(timing);
});
client.on("notice", ({ text, kind }) => notify(text, kind));
client.on("sound", (pcm) => {
  recording.add(pcm);
  if ($("save-wav").disabled) offerDownloads();
});
client.on("ended", ({ text, cause, willRetryInSecs }) => {
  const calm = CALM_ENDS.includes(cause);
  conversation.end();
  conversation.note(text, calm ? "info" : "error");
  if (willRetryInSecs) {
    $("hint").textContent = `${text} Calling again in ${willRetryInSecs} s.`;
  } else if (!calm) {
    notify(text, "error");
  }
  if (!willRetryInSecs && document.activeElement === document.body) $("talk").focus({ preventScroll: true });
});

const shownLevels = { microphone: 0, agent: 0 };
client.on("level", (levels) => {
  for (const [who, level] of Object.entries(levels)) {
    const shown = level > 0 ? Math.max(0, 1 - (20 * Math.log10(level)) / FLOOR_DB) : 0;
    shownLevels[who] = shown;
    $(who).style.transform = `scaleX(${shown.toFixed(3)})`;
    strip.level(who, shown);
  }
  const who = client.state === "speaking" ? "agent" : "microphone";
  $("orb").style.setProperty("--level", shownLevels[who].toFixed(3));
});

async function call(microphone) {
  if (about.key && !settings.key) return askForKey(microphone, "This server wants its key.");
  notify("");
  try {
    await client.start({ ...settings.call, microphone, record: true });
    if (microphone) settings.listDevices();
  } catch (error) {
    if (error.status === 401) return askForKey(microphone, settings.key ? "The server did not accept this key." : "This server wants its key.");
    notify(error.message, "error");
    if (error instanceof MicrophoneError) $("text").focus();
  }
}

function askForKey(microphone, reason) {
  wanted = { microphone };
  settings.open(reason);
}

function settingsClosed(done) {
  const { microphone } = wanted ?? {};
  const goOn = wanted && done && settings.key;
  wanted = undefined;
  if (goOn) call(microphone);
}

function begin() {
  $("welcome").hidden = true;
  conversation.begin();
  latency.begin();
  if (conversation.items.length) conversation.note("A new call");
  notify("");
}

/** An answer was cut off: for a moment everybody can see it. */
function interrupted({ by }) {
  strip.cut();
  $("orb").dataset.cut = "";
  $("hint").textContent = by === "speech" ? "You spoke, and it stopped." : "It stopped.";
  setTimeout(() => delete $("orb").dataset.cut, FLASH_MS);
}

// ── typing ──

let waiting = ""; // typed before there was a call

async function say(text) {
  if (client.inCall) return saidNow(text);
  waiting = text;
  if (!client.busy) await call(false);
}

function saidNow(text) {
  conversation.typed(text);
  client.sendText(text);
}

client.on("frame", ({ type }) => {
  if (type !== "StartFrame" || !waiting) return;
  const text = waiting;
  waiting = "";
  saidNow(text);
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").value = "";
  if (text) say(text);
});

makeKeypad($("keypad"), $("open-keypad"), $("pressed"), (key) => {
  if (client.inCall) client.sendKey(key);
  else notify("Keys count in a call. Start one first.");
});

// ── buttons and keys ──

$("talk").addEventListener("click", async () => {
  await call(true);
  if (client.busy) $("end").focus({ preventScroll: true });
});
$("type").addEventListener("click", async () => {
  await call(false);
  if (client.busy) $("text").focus();
});
$("end").addEventListener("click", () => client.stop());
$("hush").addEventListener("click", () => client.interrupt());
$("mute").addEventListener("click", () => {
  client.setMuted(!client.muted);
  $("mute").setAttribute("aria-pressed", String(client.muted));
  $("mute").textContent = client.muted ? "Unmute" : "Mute";
  if (client.state === "listening") $("state").textContent = client.muted ? "Muted" : "Listening";
});
$("dismiss").addEventListener("click", () => notify(""));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || $("settings").open) return;
  if ($("save").open) $("save").open = false;
  else if (client.state === "speaking") client.interrupt();
});
window.addEventListener("pagehide", () => client.stop());

// ── saving ──

$("save-text").addEventListener("click", () => saved("transcript", "txt", transcriptText(conversation.items, about.title), "text/plain;charset=utf-8"));
$("save-json").addEventListener("click", () => saved("transcript", "json", transcriptJson(conversation.items, about.title), "application/json"));
$("save-wav").addEventListener("click", () => saved("recording", "wav", recording.wav()));
$("save").addEventListener("toggle", offerDownloads);
document.addEventListener("click", ({ target }) => {
  if (!$("save").contains(target)) $("save").open = false;
});

function saved(kind, ending, content, type) {
  save(fileName(kind, ending), content, type);
  $("save").open = false;
  $("save").querySelector("summary").focus();
}

function offerDownloads() {
  const said = conversation.items.length > 0;
  $("save-text").disabled = $("save-json").disabled = !said;
  $("save-wav").disabled = recording.secs === 0;
  const minutes = `${Math.floor(recording.secs / 60)}:${String(Math.floor(recording.secs % 60)).padStart(2, "0")}`;
  const full = recording.full ? " It is full: later sound is not in it." : "";
  if (recording.secs) $("save-hint").textContent = `Recording: ${minutes} of at most 60 minutes, you on the left, the agent on the right.${full}`;
}

// ── drawing ──

function notify(text, kind = "info") {
  $("notice-text").textContent = text;
  $("notice").dataset.kind = kind;
  $("notice").hidden = !text;
}

function showItem(item, gone) {
  let row = rows.get(item.id);
  if (gone) {
    row?.remove();
    rows.delete(item.id);
    return;
  }
  if (!row) {
    row = document.createElement("li");
    rows.set(item.id, row);
    $("conversation").append(row);
  }
  const scroll = $("scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
  draw(row, item);
  if (atEnd) row.scrollIntoView({ block: "nearest" });
}

async function introduce() {
  try {
    about = await (await fetch("console/agent.json")).json();
  } catch {
    // without a description of the agent the page's own words do
  }
  settings.offer(about);
  $("title").textContent = about.title ?? "";
  document.title = about.title ? `${about.title} · Voxray` : "Voxray";
  $("welcome-title").textContent = about.heading || "Talk to the agent";
  $("welcome-text").textContent = about.text || "Speak, or type. Interrupt whenever you like.";
  $("sayings").replaceChildren(
    ...(about.sayings ?? []).map((saying) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = saying;
      button.addEventListener("click", () => say(saying));
      item.append(button);
      return item;
    }),
  );
}

$("hint").textContent = STATES.idle[1];
introduce();
