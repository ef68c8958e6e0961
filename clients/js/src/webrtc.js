// A call over WebRTC: sound as tracks, messages on a data channel. It survives a broken connection: the next one takes up
// the same call.

import { CallError } from "./errors.js";
import { ask } from "./requests.js";

/** @typedef {import("./types.js").Transport} Transport */
/** @typedef {import("./types.js").TransportEvents} TransportEvents */

const OPEN_SECS = 15;
const DISTURBED_SECS = 5; // ICE often comes back by itself
const RETRY_SECS = [1, 2, 4];
const PING_MS = 1000;
const BATCH_MS = 50; // candidates found within it travel together
const MAX_WAITING = 50; // messages, while there is no connection

/** @implements {Transport} */
export class WebRtcTransport {
  /** @readonly */
  name = "webrtc";
  #server;
  #key;
  #body;
  #on;
  #session = "";
  /** @type {RTCIceServer[]} */
  #iceServers = [];
  /** @type {string | null} */
  #pcId = null;
  /** @type {RTCPeerConnection | undefined} */
  #peer;
  /** @type {RTCDataChannel | undefined} */
  #channel;
  /** @type {MediaStream | undefined} */
  #stream;
  /** @type {string[]} */
  #waiting = [];
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pings;
  #over = false;
  #leaving = false;
  #restarting = false;
  #quit = new AbortController();

  /**
   * @param {string} server
   * @param {{ key: string, body: Record<string, unknown> }} call
   * @param {TransportEvents} on
   */
  constructor(server, { key, body }, on) {
    this.#server = server;
    this.#key = key;
    this.#body = body;
    this.#on = on;
  }

  /** @param {AbortSignal} signal */
  async prepare(signal) {
    if (!("RTCPeerConnection" in globalThis)) throw new CallError("This browser has no WebRTC. Choose WebSocket.");
    const body = { transport: "webrtc", enableDefaultIceServers: true, body: this.#body };
    const answer = await ask(new URL("start", this.#server).href, { key: this.#key, body, signal });
    this.#session = answer.sessionId;
    this.#iceServers = answer.iceConfig?.iceServers ?? [];
  }

  /**
   * @param {MediaStream | undefined} stream
   * @param {AbortSignal} signal
   */
  async open(stream, signal) {
    this.#stream = stream;
    const give = () => this.#quit.abort();
    signal.addEventListener("abort", give, { once: true });
    try {
      await this.#connect(false);
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      signal.removeEventListener("abort", give);
    }
    this.#pings = setInterval(() => this.#put(`ping: ${Math.round(performance.now())}`), PING_MS);
  }

  /** @param {boolean} restart the call is under way */
  async #connect(restart) {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#dial(restart || attempt > 0);
        return;
      } catch (error) {
        this.#drop();
        const retryable = !(error instanceof CallError) || error.retryable;
        if (this.#quit.signal.aborted || !retryable || attempt >= RETRY_SECS.length) throw error;
        await pause(RETRY_SECS[attempt], this.#quit.signal);
      }
    }
  }

  /**
   * One attempt, with a connection of its own.
   *
   * @param {boolean} restart
   */
  async #dial(restart) {
    const peer = new RTCPeerConnection({ iceServers: this.#iceServers });
    this.#peer = peer;
    if (this.#stream) for (const track of this.#stream.getAudioTracks()) peer.addTrack(track, this.#stream);
    else peer.addTransceiver("audio", { direction: "recvonly" });
    peer.ontrack = ({ track, streams }) => this.#on.stream(streams[0] ?? new MediaStream([track]));
    const channel = peer.createDataChannel("voxray", { ordered: true, protocol: "json" });
    this.#channel = channel;
    const candidates = new Candidates((found) => this.#tell(found));
    peer.onicecandidate = ({ candidate }) => candidate && candidates.add(candidate);
    await this.#offer(peer, restart);
    candidates.release();
    await opened(channel, peer, this.#quit.signal);
    channel.onmessage = ({ data }) => this.#receive(data);
    channel.onclose = () => this.#broken(peer);
    this.#watch(peer);
    for (const text of this.#waiting.splice(0)) this.#put(text);
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {boolean} restart
   */
  async #offer(peer, restart) {
    await peer.setLocalDescription();
    const { sdp, type } = /** @type {RTCSessionDescription} */ (peer.localDescription);
    const body = { sdp, type, pc_id: this.#pcId, restart_pc: restart };
    const answer = await ask(this.#address(), { key: this.#key, body, signal: this.#quit.signal });
    this.#pcId = answer.pc_id;
    await peer.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
  }

  /** @param {RTCIceCandidate[]} found */
  async #tell(found) {
    const candidates = found.map(({ candidate, sdpMid, sdpMLineIndex }) => ({
      candidate,
      sdp_mid: sdpMid,
      sdp_mline_index: sdpMLineIndex,
    }));
    const body = { pc_id: this.#pcId, candidates };
    try {
      await ask(this.#address(), { method: "PATCH", key: this.#key, body, signal: this.#quit.signal });
    } catch {
      // without these candidates the connection may come about all the same; if it does not, `opened` notices
    }
  }

  #address() {
    return new URL(`sessions/${encodeURIComponent(this.#session)}/api/offer`, this.#server).href;
  }

  // ── the connection's health ──

  /** @param {RTCPeerConnection} peer */
  #watch(peer) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let patience;
    peer.onconnectionstatechange = () => {
      clearTimeout(patience);
      if (peer.connectionState === "failed" || peer.connectionState === "closed") this.#broken(peer);
      if (peer.connectionState === "disconnected") patience = setTimeout(() => this.#broken(peer), DISTURBED_SECS * 1000);
    };
  }

  /** @param {RTCPeerConnection} peer */
  async #broken(peer) {
    if (this.#over || this.#restarting || peer !== this.#peer) return;
    if (this.#leaving) return this.#closed(1000);
    this.#restarting = true;
    this.#on.connection("disturbed");
    this.#drop();
    try {
      await this.#connect(true);
      this.#on.connection("restored");
    } catch {
      this.#closed(1006);
    } finally {
      this.#restarting = false;
    }
  }

  /** @param {string} text */
  #receive(text) {
    const { type, message } = JSON.parse(text);
    if (type !== "signalling") return this.#on.message(text);
    if (message?.type === "peerLeft") this.#closed(1000);
    else if (message?.type === "renegotiate" && this.#peer) {
      const peer = this.#peer;
      this.#offer(peer, false).catch(() => this.#broken(peer));
    }
  }

  /** @param {number} code */
  #closed(code) {
    if (this.#over) return;
    this.#end();
    this.#on.closed({ code, reason: "" });
  }

  #end() {
    this.#over = true;
    this.#quit.abort();
    clearInterval(this.#pings);
    this.#drop();
  }

  #drop() {
    const peer = this.#peer;
    const channel = this.#channel;
    this.#peer = undefined;
    this.#channel = undefined;
    if (channel) channel.onclose = channel.onmessage = null;
    if (!peer) return;
    peer.onconnectionstatechange = peer.onicecandidate = peer.ontrack = null;
    peer.close();
  }

  // ──

  /** @param {MediaStream} stream */
  async replace(stream) {
    this.#stream = stream;
    const [track] = stream.getAudioTracks();
    const sender = this.#peer?.getTransceivers().find((each) => each.receiver.track.kind === "audio")?.sender;
    await sender?.replaceTrack(track);
  }

  /** @param {string} text */
  send(text) {
    if (!this.#put(text) && this.#waiting.length < MAX_WAITING) this.#waiting.push(text);
  }

  /** @param {string} text */
  #put(text) {
    if (this.#channel?.readyState !== "open") return false;
    this.#channel.send(text);
    return true;
  }

  sendAudio() {}

  /** @param {number} graceMs */
  close(graceMs) {
    this.#leaving = true;
    if (graceMs && !this.#restarting) setTimeout(() => this.#closed(1000), graceMs);
    else this.#closed(1000);
  }

  /** The round trip of the pair of addresses in use, as ICE measures it. */
  async roundTripSecs() {
    const report = await this.#peer?.getStats();
    let found;
    report?.forEach((entry) => {
      if (entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded") found = entry.currentRoundTripTime;
    });
    return /** @type {number | undefined} */ (found);
  }
}

/** Candidates wait for the answer, which tells whose they are, and then travel in batches. */
class Candidates {
  /** @type {RTCIceCandidate[]} */
  #found = [];
  #released = false;
  #timed = false;
  #send;

  /** @param {(found: RTCIceCandidate[]) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /** @param {RTCIceCandidate} candidate */
  add(candidate) {
    this.#found.push(candidate);
    if (this.#released) this.#later();
  }

  release() {
    this.#released = true;
    if (this.#found.length) this.#later();
  }

  #later() {
    if (this.#timed) return;
    this.#timed = true;
    setTimeout(() => {
      this.#timed = false;
      this.#send(this.#found.splice(0));
    }, BATCH_MS);
  }
}

/**
 * @param {RTCDataChannel} channel
 * @param {RTCPeerConnection} peer
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function opened(channel, peer, signal) {
  return new Promise((resolve, reject) => {
    const patience = setTimeout(fail, OPEN_SECS * 1000);
    function fail() {
      done();
      const text = "No connection by WebRTC came about; a firewall may be in the way. Try WebSocket.";
      reject(new CallError(text, { retryable: true }));
    }
    function succeed() {
      done();
      resolve();
    }
    function done() {
      clearTimeout(patience);
      signal.removeEventListener("abort", fail);
      channel.onopen = channel.onclose = null;
      peer.onconnectionstatechange = null;
    }
    signal.addEventListener("abort", fail, { once: true });
    channel.onopen = succeed;
    channel.onclose = fail;
    peer.onconnectionstatechange = () => peer.connectionState === "failed" && fail();
    if (channel.readyState === "open") succeed();
  });
}

/**
 * @param {number} secs
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(secs, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, secs * 1000);
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
