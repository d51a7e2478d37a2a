// The microphone of the device, as samples.

/** @typedef {"refused" | "missing" | "busy" | "failed"} MicrophoneProblem */
/** @type {Record<string, MicrophoneProblem>} */
const PROBLEMS = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing", OverconstrainedError: "missing", NotReadableError: "busy", AbortError: "busy" };
const WANTED = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/**
 * @typedef {object} Microphone
 * @property {number} rate samples a second
 * @property {(isOn: boolean) => void} listen
 * @property {() => void} close
 */

/** A microphone that cannot be used, with the reason. */
export class MicrophoneError extends Error {
  /** @param {MicrophoneProblem} code */
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/**
 * Rejects with a MicrophoneError. `onLost` is called when the device is gone, or the system takes it away.
 * @param {{onSamples: (samples: Float32Array) => void, onLost: () => void}} listeners
 * @returns {Promise<Microphone>}
 */
export async function openMicrophone({ onSamples, onLost }) {
  // Before the first wait: some browsers let only a click start one.
  const context = new AudioContext();
  /** @type {MediaStream | null} */
  let stream = null;
  const close = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    if (context.state !== "closed") void context.close();
  };
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
    await listenTo(context, stream, onSamples);
  } catch (error) {
    close();
    throw new MicrophoneError(PROBLEMS[/** @type {Error} */ (error)?.name] ?? "failed");
  }
  stream.getAudioTracks()[0].addEventListener("ended", onLost);
  // A call on a phone.
  context.addEventListener("statechange", () => /** @type {string} */ (context.state) === "interrupted" && onLost());
  return { rate: context.sampleRate, close, listen: (isOn) => void (isOn ? context.resume() : context.suspend()).catch(() => {}) };
}

/**
 * @param {AudioContext} context
 * @param {MediaStream} stream
 * @param {(samples: Float32Array) => void} onSamples
 */
async function listenTo(context, stream, onSamples) {
  // Alone in its file: where it runs, the rest of the page's code would fail.
  const { address, NAME } = await import("./capture_worklet.js");
  await context.audioWorklet.addModule(address);
  const capture = new AudioWorkletNode(context, NAME);
  capture.port.onmessage = ({ data }) => onSamples(data);
  // It is only run if it leads somewhere. It plays silence.
  context.createMediaStreamSource(stream).connect(capture).connect(context.destination);
  await context.resume();
}
