import { html, useEffect } from "../../../../preact.js";
import { signal } from "../../../../signals.js";
import { spoken } from "../../../lib/format.js";
import { text } from "../../../text.js";
import { fetchModule, loadedModules } from "../../lazy_modules.js";

const own = spoken("readAloud", { begin: "Read aloud", end: "Stop reading aloud", listen: "Listen", endListening: "Stop listening" });
const SPEAKER = "M4.5 9.5v5h3.5l4.5 4v-13l-4.5 4zM16 9a4.2 4.2 0 0 1 0 6M18.5 6.5a7.8 7.8 0 0 1 0 11";
const STOP = "M7 7h10v10H7z";

// Browsers list their voices some time after the page has begun.
const hasVoices = signal(false);
const lookForVoices = () => (hasVoices.value = speechSynthesis.getVoices().length > 0);
if (globalThis.speechSynthesis) {
  lookForVoices();
  speechSynthesis.addEventListener?.("voiceschanged", lookForVoices);
}

/** Begins and ends reading an answer aloud; not there without a voice. */
export function ReadAloud({ store, open, message, audio }) {
  if (!store.canSpeak && !hasVoices.value && !audio) return null;
  const isRead = isHeard(message);
  const label = isRead ? own.end : own.begin;
  return html`<button type="button" class=${`quiet-button read-aloud${isRead ? " quiet-button-on" : ""}`} aria-label=${label} title=${label}
    onClick=${() => toggle(store, open, message)}><${Sign} isOn=${isRead} /></button>`;
}

/** Begins and ends listening to an answer that its model is speaking. */
export function Listen({ store, open, message }) {
  const isOn = isHeard(message);
  return html`<p class="listen"><button type="button" class="button read-aloud" onClick=${() => toggle(store, open, message)}>
    <${Sign} isOn=${isOn} />${isOn ? own.endListening : own.listen}</button></p>`;
}

function isHeard(message) {
  const now = loadedModules.value.speaking?.reading.value;
  return now?.id === message.id && !now.problem;
}

const toggle = (store, open, message) => fetchModule("speaking").then(
  (speaking) => speaking.toggle(store, open, message),
  () => store.toasts.show(text.unreachable, { isProblem: true }),
);

function Sign({ isOn }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${isOn ? STOP : SPEAKER} /></svg>`;
}

/** The player of the answer that is read aloud, or that is heard while it is spoken. */
export function SpeechOf({ id, audio }) {
  const speaking = loadedModules.value.speaking;
  useEffect(() => {
    if (audio) speaking?.goOnFromFile(id);
  }, [audio, speaking]);
  return speaking?.reading.value?.id === id ? html`<${speaking.SpeechBar} />` : null;
}
