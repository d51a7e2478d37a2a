// Everything about sound as one module, which the first paint does not need.
import { RecordingStore } from "../../local/recording_store.js";
import { Recorder } from "../../sound/recorder.js";

export { SoundBar } from "./sound_bar.js";
export { AttachedSound, SentSound } from "./sounds.js";

/** @type {WeakMap<object, Recorder>} */
const recorders = new WeakMap();

/** The recorder of the page. */
export function recorderOf(store) {
  let recorder = recorders.get(store);
  if (!recorder) {
    const { own, attachments, toasts } = store;
    recorder = new Recorder({
      store: own.later(RecordingStore),
      attachments,
      toasts,
      isTemporary: () => store.isInTemporary.peek() || (!store.chatId.peek() && store.willBeTemporary.peek()),
    });
    recorders.set(store, recorder);
  }
  return recorder;
}
