// Microphones and loudspeakers of this machine.

/** Why there is no microphone, in words for the person in front of the page. */
export class MicrophoneError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "MicrophoneError";
  }
}

/** @type {Record<string, string>} */
const REASONS = {
  NotAllowedError: "The browser does not let this page use the microphone. Allow it beside the address, then start again.",
  NotFoundError: "No microphone was found. Plug one in, then start again.",
  NotReadableError: "The microphone is in use by another program. Close that program, then start again.",
  OverconstrainedError: "The chosen microphone is not there any more. Choose another one, then start again.",
  SecurityError: "The browser's settings forbid the microphone on this page.",
};

/**
 * Ask for the microphone; the browser asks its user. Throws MicrophoneError.
 *
 * @param {string} [id] of `listDevices()`; the browser's choice if empty
 */
export async function openMicrophone(id = "") {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new MicrophoneError("A browser gives its microphone only to pages on https or on localhost.");
  }
  const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: id ? { ...wanted, deviceId: { exact: id } } : wanted });
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    throw new MicrophoneError(REASONS[name] ?? `The microphone cannot be used: ${message || name}.`);
  }
}

/**
 * What there is to choose from. Browsers tell names only after the page was given a microphone once.
 *
 * @returns {Promise<{ microphones: { id: string, label: string }[], outputs: { id: string, label: string }[] }>}
 */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  /** @param {MediaDeviceKind} kind */
  const named = (kind) =>
    all
      .filter((device) => device.kind === kind && device.deviceId && device.deviceId !== "default")
      .map(({ deviceId: id, label }) => ({ id, label }));
  return { microphones: named("audioinput"), outputs: canChooseOutput() ? named("audiooutput") : [] };
}

/** Whether this browser can play a page's sound on a loudspeaker of its choice. */
export function canChooseOutput() {
  return "AudioContext" in globalThis && "setSinkId" in AudioContext.prototype;
}
