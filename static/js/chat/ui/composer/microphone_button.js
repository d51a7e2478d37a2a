import { html, useState } from "../../../preact.js";
import { LEFT_RECORDINGS, remembered } from "../../lib/storage.js";
import { text } from "../../text.js";
import { Icon } from "../icons.js";
import { fetchModule, lazyModule, loadedModules } from "../lazy_modules.js";

/** Begins a recording, whose code is loaded with the first one. */
export function MicrophoneButton({ store }) {
  // Browsers offer microphones only to pages that nobody can have changed on the way.
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) return null;
  const record = async () => {
    try {
      const { recorderOf } = await fetchModule("sound");
      await recorderOf(store).start();
    } catch {
      store.toasts.show(text.unreachable, { isProblem: true });
    }
  };
  return html`<button type="button" class="quiet-button microphone-button" aria-label=${text.record} title=${text.record}
    onClick=${record}><${Icon} name="microphone" /></button>`;
}

/** The recorder, once there is one: at once if an earlier page has left a recording. */
export function useRecorder(store, field, place) {
  const [isLeft] = useState(() => remembered(LEFT_RECORDINGS));
  const sound = isLeft ? lazyModule("sound") : loadedModules.value.sound;
  const recorder = sound?.recorderOf(store);
  return {
    isShown: Boolean(recorder?.phase.value),
    bar: recorder && html`<${sound.SoundBar} recorder=${recorder} place=${place} field=${field} canTranscribe=${store.canTranscribe} />`,
  };
}
