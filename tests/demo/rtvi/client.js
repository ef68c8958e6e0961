// The official client, with a record of everything that arrives: the test reads it.
import { PipecatClient } from "@pipecat-ai/client-js";
import { SmallWebRTCTransport, WavMediaManager as WebRtcMedia } from "@pipecat-ai/small-webrtc-transport";
import { ProtobufFrameSerializer, WavMediaManager, WebSocketTransport } from "@pipecat-ai/websocket-transport";

const LOUD = 0.01; // of the scale from 0 to 1
const messages = []; // {at, type, id, label, data}, at in seconds
const sound = []; // {at, bytes} by websocket, {at, level} by WebRTC
const errors = [];
const calls = []; // of the client's tools
const now = () => performance.now() / 1000;
const CONNECT_MS = 20_000; // of its own the client waits for ever

class Recording extends ProtobufFrameSerializer {
  async deserialize(data) {
    const found = await super.deserialize(data);
    if (found.type === "audio") sound.push({ at: now(), bytes: found.audio.byteLength });
    else messages.push({ at: now(), ...found.message });
    return found;
  }
}

// A fatal error and the close after it both make the client end its recorder. That cannot take it twice, or in the middle of
// its beginning, and nothing of it is the server's doing.
const calm = (MediaManager) =>
  class extends MediaManager {
    #end;

    disconnect() {
      return (this.#end ??= super.disconnect().catch((error) => console.warn("recorder:", error)));
    }
  };
const Media = calm(WavMediaManager);
const PeerMedia = calm(WebRtcMedia);

class RecordingPeer extends SmallWebRTCTransport {
  handleMessage(text) {
    const message = JSON.parse(text);
    if (message.type !== "signalling") messages.push({ at: now(), ...message });
    super.handleMessage(text);
  }
}

const TRANSPORTS = {
  // Of its own it records at 24 kHz, and the transport says 16 kHz nevertheless.
  websocket: () => new WebSocketTransport({ serializer: new Recording(), mediaManager: new Media(undefined, 16_000) }),
  webrtc: () => new RecordingPeer({ mediaManager: new PeerMedia() }),
};

let states = [];
let client;
let transport;

function listen(track) {
  if (track.kind !== "audio" || client.tracks().local.audio?.id === track.id) return;
  const player = new Audio();
  player.srcObject = new MediaStream([track]);
  player.play();
  const context = new AudioContext();
  const meter = context.createAnalyser();
  context.createMediaStreamSource(player.srcObject).connect(meter);
  const samples = new Float32Array(meter.fftSize); // 43 ms at 48 kHz
  setInterval(() => {
    meter.getFloatTimeDomainData(samples);
    sound.push({ at: now(), level: Math.max(...samples.map(Math.abs)) });
  }, 20);
}

/** `way`: "websocket" or "webrtc". `params` go to connect, or with an endpoint to startBotAndConnect. */
async function connect(way, params, { microphone }) {
  messages.length = sound.length = errors.length = calls.length = 0;
  states = [];
  transport = TRANSPORTS[way]();
  client = new PipecatClient({
    transport,
    enableMic: microphone,
    enableCam: false,
    callbacks: {
      onTransportStateChanged: (state) => states.push(state),
      onTrackStarted: (track) => way === "webrtc" && listen(track),
      onError: ({ data }) => errors.push(data),
    },
  });
  await client.initDevices();
  const microphones = client.tracks().local.audio;
  if (microphones && !microphone) microphones.enabled = false; // this media manager sends it nevertheless
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`no bot-ready; ${JSON.stringify(errors)}`)), CONNECT_MS));
  return await Promise.race([late, "endpoint" in params ? client.startBotAndConnect(params) : client.connect(params)]);
}

/** Offers a tool that the client runs. */
async function offerMap() {
  client.registerFunctionCallHandler("show_map", async ({ functionName, arguments: given }) => {
    calls.push({ functionName, given });
    return { street: "Quay Street" };
  });
  await client.sendClientRequest("voxray-set-tools", {
    tools: [{ name: "show_map", description: "Show a place on the map", parameters: { type: "object", properties: { place: { type: "string" } } } }],
  });
}

const failure = (request) => request.then((found) => ({ found }), (error) => ({ error: error?.data?.error ?? String(error), status: error?.status }));
const loud = () => sound.filter(({ bytes, level }) => bytes || level > LOUD);

window.rtvi = {
  connect,
  /** What the client does by itself when its WebRTC connection breaks. */
  reconnect: () => transport.attemptReconnection(true),
  offerMap,
  messages,
  sound,
  errors,
  calls,
  channel: () => transport.dc?.readyState,
  states: () => states,
  client: () => client,
  failure,
  /** Messages of a type since the given index. */
  seen: (type, from = 0) => messages.slice(from).filter((it) => it.type === type),
  /** Seconds of sound so far: received by websocket, heard by WebRTC. */
  secs: () => loud().reduce((sum, { bytes }) => sum + (bytes ? bytes / 48_000 : 0.02), 0),
  /** Was there sound between these two moments? */
  soundedBetween: (from, to) => loud().some(({ at }) => at > from && at < to),
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
