// The player below an answer that is read aloud. It is loaded with the first one.
import { html } from "../../../preact.js";
import { clock } from "../../sound/texts.js";
import { reading } from "../../speaking/reading_aloud.js";
import { atMs, isPlaying, pause, play, seek } from "../../speaking/sound.js";
import { own } from "../../speaking/texts.js";
import { PlayButton, Position, Speed } from "../sound/controls.js";

export { reading, toggle } from "../../speaking/reading_aloud.js";

export function SpeechBar() {
  const { isByBrowser, sound, problem } = reading.value;
  if (isByBrowser) return null;
  return html`<div class="speech-bar" role="group" aria-label=${own.player}>
    <p class=${problem ? "meta meta-problem" : "meta"} role="status">${problem || (!sound && own.preparing)}</p>
    ${sound && html`<${Controls} lengthMs=${sound.file.duration_ms} />`}
  </div>`;
}

function Controls({ lengthMs }) {
  const at = Math.min(atMs.value, lengthMs);
  return html`<${PlayButton} label=${isPlaying.value ? own.pause : own.play} isPlaying=${isPlaying.value} onClick=${isPlaying.value ? pause : play} />
    <${Position} label=${own.position} atMs=${at} lengthMs=${lengthMs} seek=${seek} />
    <span class="sound-time meta">${clock(at)} / ${clock(lengthMs)}</span>
    <${Speed} />`;
}
