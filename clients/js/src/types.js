// Types that several modules share. No code.

/** @typedef {"idle" | "connecting" | "listening" | "hearing" | "thinking" | "speaking" | "retrying" | "ended"} State */

/** @typedef {"websocket" | "webrtc"} TransportName */

/**
 * A message of the server or to it. `at` is in seconds since the call began.
 *
 * @typedef {{ at: number, type: string, data: Record<string, any> }} Frame
 */

/** @typedef {{ name: "pause" | "stt" | "llm" | "tts" | "other" | "network" | "sound", secs: number }} Stage */

/** @typedef {{ turn: number, reply: number, stages: Stage[], totalSecs: number }} Timing */

/**
 * The end of a call. `cause` is the server's word for it, "" if it said none; `code` as websockets have it.
 *
 * @typedef {{ text: string, cause: string, code: number, willRetryInSecs?: number }} Ending
 */

/**
 * What a client tells, by the name of the event.
 *
 * @typedef {object} ClientEvents
 * @property {State} state
 * @property {Frame} frame  each message of the server
 * @property {Frame} sent  each message to it
 * @property {{ microphone?: number, agent?: number }} level  RMS 0..1, about 30 times a second
 * @property {Timing} timing  when an answer is heard
 * @property {number} network  seconds of a round trip
 * @property {{ text: string, kind: "error" | "info" }} notice  for people
 * @property {"disturbed" | "restored"} connection  by WebRTC: the same call goes on over a new connection
 * @property {ArrayBuffer} sound  with `record`: the next piece of both sides, PCM16 at 16 kHz, left the microphone
 * @property {Ending} ended
 */

/**
 * What a call is to be. `body` reaches the agent: `system_prompt`, `messages`, `greeting`, `language`, and anything of
 * your own.
 *
 * @typedef {object} CallOptions
 * @property {TransportName} [transport]  "websocket" unless given
 * @property {boolean} [microphone]
 * @property {string} [microphoneId]  of `listDevices()`
 * @property {string} [outputId]  of `listDevices()`
 * @property {string} [key]  the server's key; it travels in a header
 * @property {Record<string, unknown>} [body]
 * @property {boolean} [record]  tell `sound`
 */

/**
 * What a transport tells its client.
 *
 * @typedef {object} TransportEvents
 * @property {(text: string) => void} message
 * @property {(pcm: ArrayBuffer) => void} audio  sound of the agent at the rate that `StartFrame` said
 * @property {(stream: MediaStream) => void} stream  or its sound as a track
 * @property {(how: "disturbed" | "restored") => void} connection
 * @property {(end: { code: number, reason: string }) => void} closed  once, and only after `open` has resolved
 */

/**
 * How a call reaches the server.
 *
 * @typedef {object} Transport
 * @property {TransportName} name
 * @property {(signal: AbortSignal) => Promise<void>} prepare  ask for a call. Raises CallError
 * @property {(stream: MediaStream | undefined, signal: AbortSignal) => Promise<void>} open  raises CallError
 * @property {(stream: MediaStream) => Promise<void>} replace  another microphone
 * @property {(text: string) => void} send
 * @property {(pcm: ArrayBuffer) => void} sendAudio  PCM16 at 16 kHz; without effect where sound is a track
 * @property {(graceMs: number) => void} close  the call is over; the other side may close first
 * @property {() => Promise<number | undefined>} roundTripSecs
 */

export {};
