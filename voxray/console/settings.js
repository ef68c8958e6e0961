// What people choose: how to connect, devices, the agent's context, the key. Choices are remembered, the key only if asked.

import { canChooseOutput, listDevices } from "../client/index.js";

const PLACE = "voxray.console";
const KEY_PLACE = "voxray.key";
const HINTS = {
  websocket: "Sound and messages share one connection. Works wherever web pages do.",
  webrtc: "Sound travels by UDP: better on poor networks, and the call survives a change of network.",
  alone: "This server offers no other way.",
};

const $ = (id) => document.getElementById(id);

export class Settings {
  #dialog = $("settings");
  #form = $("settings-form");
  #client;
  #offered = ["websocket"];
  #closed;

  /** `closed(done)` is called when the dialog closes; `done` if it was confirmed. */
  constructor(client, closed) {
    this.#client = client;
    this.#closed = closed;
    this.#restore();
    $("open-settings").addEventListener("click", () => this.open());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#dialog.close("done");
    });
    this.#dialog.addEventListener("click", ({ target }) => target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#leave());
    this.#form.addEventListener("change", ({ target }) => this.#changed(target));
    $("microphone-id").addEventListener("change", () => this.#applied("microphone-id", (id) => client.setMicrophone(id)));
    $("output-id").addEventListener("change", () => this.#applied("output-id", (id) => client.setOutput(id)));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.listDevices());
  }

  /** What the server says of itself. */
  offer({ transports = ["websocket"], key = true }) {
    this.#offered = transports;
    for (const radio of this.#form.elements.transport) {
      radio.disabled = !transports.includes(radio.value);
      if (radio.checked && radio.disabled) radio.checked = false;
    }
    if (!this.#form.elements.transport.value) this.#form.elements.transport.value = transports[0] ?? "websocket";
    $("key-fields").hidden = !key;
    this.#explain();
  }

  /** For `client.start()`. */
  get call() {
    const body = { system_prompt: $("prompt").value.trim(), greeting: $("greeting").value.trim() };
    return {
      transport: this.#form.elements.transport.value || "websocket",
      microphoneId: $("microphone-id").value,
      outputId: $("output-id").value,
      key: this.key,
      body: Object.fromEntries(Object.entries(body).filter(([, value]) => value)),
    };
  }

  get key() {
    return $("key").value.trim();
  }

  /** Open the dialog, at the key with a reason why. */
  open(reason = "") {
    $("settings-note").textContent = reason;
    $("key").setAttribute("aria-invalid", String(Boolean(reason)));
    this.listDevices();
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
    if (!reason) return;
    $("key-fields").hidden = false;
    $("key").focus();
    $("key").select();
  }

  /** Show what there is to choose from, and keep the choice. */
  async listDevices() {
    const { microphones, outputs } = await listDevices();
    fill($("microphone-id"), microphones);
    fill($("output-id"), outputs);
    for (const part of this.#form.querySelectorAll(".for-output")) part.hidden = !canChooseOutput();
    const named = microphones.some(({ label }) => label);
    $("devices-hint").textContent = named ? "" : "Their names appear once this page has used the microphone.";
  }

  async #applied(id, apply) {
    try {
      await apply($(id).value);
    } catch (error) {
      $("devices-hint").textContent = error.message;
    }
  }

  #changed(target) {
    if (target.name === "theme") theme(target.value);
    this.#explain();
    this.#keep();
  }

  #leave() {
    $("settings-note").textContent = "";
    this.#keep();
    this.#closed(this.#dialog.returnValue === "done");
  }

  #explain() {
    const chosen = HINTS[this.#form.elements.transport.value] ?? "";
    $("transport-hint").textContent = this.#offered.length > 1 ? chosen : `${chosen} ${HINTS.alone}`;
    $("key-hint").textContent = $("remember").checked ? "" : "Forgotten when this page is closed or loaded again.";
  }

  #keep() {
    const { transport, theme } = this.#form.elements;
    const choices = { transport: transport.value, theme: theme.value };
    for (const id of ["microphone-id", "output-id", "prompt", "greeting"]) choices[id] = $(id).value;
    stored(() => {
      localStorage.setItem(PLACE, JSON.stringify(choices));
      if ($("remember").checked && this.key) sessionStorage.setItem(KEY_PLACE, this.key);
      else sessionStorage.removeItem(KEY_PLACE);
    });
  }

  #restore() {
    const choices = stored(() => JSON.parse(localStorage.getItem(PLACE) ?? "{}")) ?? {};
    const key = stored(() => sessionStorage.getItem(KEY_PLACE)) ?? "";
    this.#form.elements.transport.value = choices.transport ?? "websocket";
    this.#form.elements.theme.value = choices.theme ?? "system";
    theme(choices.theme ?? "system");
    for (const id of ["prompt", "greeting"]) $(id).value = choices[id] ?? "";
    for (const id of ["microphone-id", "output-id"]) fill($(id), choices[id] ? [{ id: choices[id], label: "" }] : [], choices[id]);
    $("key").value = key;
    $("remember").checked = Boolean(key);
    this.#explain();
  }
}

function fill(select, devices, chosen = select.value) {
  const usual = new Option("The browser's choice", "");
  select.replaceChildren(usual, ...devices.map(({ id, label }, at) => new Option(label || `Device ${at + 1}`, id)));
  select.value = devices.some(({ id }) => id === chosen) ? chosen : "";
}

function theme(name) {
  if (name !== "system") document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}

/** Browsers may forbid a page to store anything. */
function stored(access) {
  try {
    return access();
  } catch {
    return undefined;
  }
}
