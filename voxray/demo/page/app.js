// The page: what `client.js` tells, made visible, and what people press, passed on.

import { Client } from "./client.js";
import { Conversation } from "./conversation.js";
import { Log, draw, secs } from "./draw.js";
import { Latency } from "./latency.js";

const $ = (id) => document.getElementById(id);
const FLOOR_DB = -54; // of the meters

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

const address = new URL("ws", location.href);
address.protocol = address.protocol.replace("http", "ws");
address.search = location.search; // ?api_key=… reaches the server as it came
const client = new Client(address.href, new URL(".", location.href).href);
const conversation = new Conversation(showItem);
const latency = new Latency($("turns"), $("legend"), $("latency-empty"));
const log = new Log($("entries"), $("log-count"));
const rows = new Map(); // item id → element

window.voxray = { client, conversation }; // for the curious, and for tests

// ── the call ──

client.addEventListener("state", ({ detail: state }) => {
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
});

client.addEventListener("frame", ({ detail: { at, type, data } }) => {
  log.add(at, "in", type, data);
  if (type === "StartFrame") begin();
  conversation.see(type, data);
});
client.addEventListener("sent", ({ detail: { at, type, data } }) => log.add(at, "out", type, data));
client.addEventListener("network", ({ detail }) => {
  if (client.inCall) $("link-text").textContent = `Connected, ${Math.max(1, Math.round(detail * 1000))} ms`;
});
client.addEventListener("timing", ({ detail }) => {
  conversation.timing(detail);
  latency.add(detail);
});
client.addEventListener("notice", ({ detail: { text, kind } }) => notify(text, kind));
client.addEventListener("ended", ({ detail: { text, cause, willRetryInSecs } }) => {
  const calm = ["client_asked", "agent_ended", "caller_left"].includes(cause) || text === "You ended the call.";
  conversation.end();
  conversation.note(text, calm ? "info" : "error");
  if (willRetryInSecs) {
    $("hint").textContent = `${text} Calling again in ${willRetryInSecs} s.`;
  } else if (!calm) {
    notify(text, "error");
  }
  if (!willRetryInSecs && document.activeElement === document.body) $("talk").focus({ preventScroll: true });
});

let shownLevels = { microphone: 0, agent: 0 };
client.addEventListener("level", ({ detail }) => {
  for (const [who, level] of Object.entries(detail)) {
    const shown = level > 0 ? Math.max(0, 1 - (20 * Math.log10(level)) / FLOOR_DB) : 0;
    shownLevels[who] = shown;
    $(who).style.transform = `scaleX(${shown.toFixed(3)})`;
  }
  const who = client.state === "speaking" ? "agent" : "microphone";
  $("orb").style.setProperty("--level", shownLevels[who].toFixed(3));
});

async function call(microphone) {
  notify("");
  try {
    await client.start({ microphone });
  } catch (error) {
    notify(error.message, "error");
    if (microphone) $("text").focus();
  }
}

function begin() {
  $("welcome").hidden = true;
  conversation.begin();
  latency.begin();
  if (conversation.items.length) conversation.note("A new call");
  notify("");
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

client.addEventListener("frame", ({ detail: { type } }) => {
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

// ── buttons and keys ──

$("talk").addEventListener("click", async () => {
  await call(true);
  if (client.busy) $("end").focus({ preventScroll: true });
});
$("type").addEventListener("click", async () => {
  await call(false);
  $("text").focus();
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
  if (event.key === "Escape" && client.state === "speaking") client.interrupt();
});
window.addEventListener("pagehide", () => client.stop());

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
  let about = {};
  try {
    about = await (await fetch("page/agent.json")).json();
  } catch {
    // a server without a description of its agent: the page's own words do
  }
  $("title").textContent = about.title ?? "";
  document.title = about.title ? `${about.title} · Voxray` : "Voxray";
  $("welcome-title").textContent = about.heading ?? "Talk to the agent";
  $("welcome-text").textContent = about.text ?? "Speak, or type. Interrupt whenever you like.";
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
