// The player below an answer that is read aloud. It is loaded with the first one.
import { html } from "../../../preact.js";
import { number } from "../../lib/format.js";
import { nextSpeed, speed } from "../../sound/playing.js";
import { reading } from "../../speaking/reading_aloud.js";
import { atMs, isPlaying, pause, play, seek } from "../../speaking/sound.js";
import { clock, own } from "../../speaking/texts.js";

export { reading, toggle } from "../../speaking/reading_aloud.js";

const STEP_MS = 5_000;
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };
const PATHS = {
  play: "M8.5 5.6v12.8a.6.6 0 0 0 .92.5l9.9-6.4a.6.6 0 0 0 0-1l-9.9-6.4a.6.6 0 0 0-.92.5z",
  pause: "M7.5 5.5h2.6v13H7.5zM13.9 5.5h2.6v13h-2.6z",
};

export function SpeechBar() {
  const { isByBrowser, sound, problem } = reading.value;
  if (isByBrowser) return null;
  return html`<div class="speech-bar" role="group" aria-label=${own.player}>
    <p class=${problem ? "meta meta-problem" : "meta"} role="status">${problem || (!sound && own.preparing)}</p>
    ${sound && html`<${Controls} lengthMs=${sound.file.duration_ms} />`}
  </div>`;
}

function Controls({ lengthMs }) {
  const label = isPlaying.value ? own.pause : own.play;
  const rate = `${number(speed.value)}×`;
  return html`<button type="button" class="speech-play" aria-label=${label} title=${label} onClick=${isPlaying.value ? pause : play}>
      <svg class="icon icon-solid" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${PATHS[isPlaying.value ? "pause" : "play"]} /></svg>
    </button>
    <${Position} lengthMs=${lengthMs} />
    <span class="speech-time meta">${clock(atMs.value)} / ${clock(lengthMs)}</span>
    <button type="button" class="speech-speed" aria-label=${own.speed(rate)} title=${own.speed(rate)} onClick=${nextSpeed}><bdi dir="ltr">${rate}</bdi></button>`;
}

function Position({ lengthMs }) {
  const at = Math.min(atMs.value, lengthMs);
  const onKeyDown = (event) => {
    const step = STEPS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const isTurned = getComputedStyle(event.currentTarget).direction === "rtl" && /Left|Right/.test(event.key);
    seek(Math.max(0, Math.min(lengthMs, at + (isTurned ? -step : step) * STEP_MS)));
  };
  return html`<input type="range" class="speech-position" min="0" max=${lengthMs} step="100" value=${Math.round(at)}
    style=${{ "--played": `${lengthMs ? (100 * at) / lengthMs : 0}%` }}
    aria-label=${own.position} aria-valuetext=${own.at(clock(at), clock(lengthMs))}
    onInput=${(event) => seek(Number(event.currentTarget.value))} onKeyDown=${onKeyDown} />`;
}
