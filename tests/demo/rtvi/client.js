// The official client, with a record of everything that arrives: the test reads it.
import { PipecatClient } from "@pipecat-ai/client-js";
import { ProtobufFrameSerializer, WavMediaManager, WebSocketTransport } from "@pipecat-ai/websocket-transport";

const messages = []; // {at, type, id, label, data}, at in seconds
const sound = []; // {at, bytes}
const now = () => performance.now() / 1000;

class Recording extends ProtobufFrameSerializer {
  async deserialize(data) {
    const found = await super.deserialize(data);
    if (found.type === "audio") sound.push({ at: now(), bytes: found.audio.byteLength });
    else messages.push({ at: now(), ...found.message });
    return found;
  }
}

let states = [];
let client;

async function connect(wsUrl, { microphone }) {
  messages.length = sound.length = 0;
  states = [];
  // Of its own it records at 24 kHz, and the transport says 16 kHz nevertheless.
  const mediaManager = new WavMediaManager(undefined, 16_000);
  const transport = new WebSocketTransport({ serializer: new Recording(), mediaManager });
  client = new PipecatClient({
    transport,
    enableMic: microphone,
    enableCam: false,
    callbacks: { onTransportStateChanged: (state) => states.push(state) },
  });
  return await client.connect({ wsUrl });
}

const failure = (request) => request.then((found) => ({ found }), (error) => ({ error: error?.data?.error ?? String(error) }));

window.rtvi = {
  connect,
  messages,
  sound,
  states: () => states,
  client: () => client,
  failure,
  /** Messages of a type since the given index. */
  seen: (type, from = 0) => messages.slice(from).filter((it) => it.type === type),
  secs: () => sound.reduce((sum, it) => sum + it.bytes, 0) / 48_000,
  /** The most that sound was ahead of real time, from a given moment on. */
  lead(from = 0) {
    let [most, end] = [0, 0];
    for (const { at, bytes } of sound) {
      if (at < from) continue;
      end = Math.max(end, at) + bytes / 48_000;
      most = Math.max(most, end - at);
    }
    return most;
  },
};
