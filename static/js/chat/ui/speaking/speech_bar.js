// The player below an answer that is read aloud. It is loaded with the first one.
import { html } from "../../../preact.js";
import { clock } from "../../sound/texts.js";
import { reading } from "../../speaking/reading_aloud.js";
import { atMs, isPlaying, pause, play, seek } from "../../speaking/sound.js";
import { own } from "../../speaking/texts.js";
import { PlayButton, Position, Speed } from "../sound/controls.js";

export { goOnFromFile, reading, toggle } from "../../speaking/reading_aloud.js";

export function SpeechBar() {
  const { isByBrowser, sound, live, problem } = reading.value;
  if (isByBrowser) return null;
  return html`<div class="speech-bar" role="group" aria-label=${own.player}>
    <p class=${problem ? "meta meta-problem" : "meta"} role="status">${problem || (!sound && !live && own.preparing)}</p>
    ${live && !sound && html`<${LiveControls} live=${live} />`}
    ${sound && html`<${Controls} lengthMs=${sound.file.duration_ms} />`}
  </div>`;
}

/** What is being spoken can be paused; it has no length yet. */
function LiveControls({ live }) {
  const { heard, underruns } = live.state.value;
  const isOn = live.isPlaying.value;
  return html`<${PlayButton} label=${isOn ? own.pause : own.play} isPlaying=${isOn} onClick=${() => (isOn ? live.pause() : void live.play())} />
    <span class="sound-time meta" data-heard=${heard} data-underruns=${underruns}>${clock(live.heardMs)}</span>
    <span class="meta">${own.live}</span>`;
}

function Controls({ lengthMs }) {
  const at = Math.min(atMs.value, lengthMs);
  return html`<${PlayButton} label=${isPlaying.value ? own.pause : own.play} isPlaying=${isPlaying.value} onClick=${isPlaying.value ? pause : play} />
    <${Position} label=${own.position} atMs=${at} lengthMs=${lengthMs} seek=${seek} />
    <span class="sound-time meta">${clock(at)} / ${clock(lengthMs)}</span>
    <${Speed} />`;
}
