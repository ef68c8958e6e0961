// Everything a page needs to talk to a Voxray server.

export { Client } from "./client.js";
export { Conversation, splitHeard } from "./conversation.js";
export { MicrophoneError, canChooseOutput, listDevices } from "./devices.js";
export { CallError } from "./errors.js";
export { Recording } from "./recording.js";
export { Resampler } from "./resampler.js";
