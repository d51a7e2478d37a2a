// The controls of players: of sounds, and of answers that are read aloud.
import { html } from "../../../preact.js";
import { number } from "../../lib/format.js";
import { nextSpeed, speed } from "../../sound/playing.js";
import { clock, own } from "../../sound/texts.js";
import { SoundIcon } from "./sound_icons.js";

const STEP_MS = 5_000;
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };

export function PlayButton({ label, isPlaying, onClick }) {
  return html`<button type="button" class="sound-play" aria-label=${label} title=${label} onClick=${onClick}><${SoundIcon} name=${isPlaying ? "pause" : "play"} /></button>`;
}

/** @param seek gets the place in ms */
export function Position({ label, atMs, lengthMs, seek }) {
  const onKeyDown = (event) => {
    const step = STEPS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const isTurned = getComputedStyle(event.currentTarget).direction === "rtl" && /Left|Right/.test(event.key);
    seek(Math.max(0, Math.min(lengthMs, atMs + (isTurned ? -step : step) * STEP_MS)));
  };
  return html`<input type="range" class="sound-position" min="0" max=${Math.max(1, Math.round(lengthMs))} step="100" value=${Math.round(atMs)}
    style=${{ "--played": `${lengthMs ? Math.min(100, (100 * atMs) / lengthMs) : 0}%` }}
    aria-label=${label} aria-valuetext=${own.at(clock(atMs), clock(lengthMs))}
    onInput=${(event) => seek(Number(event.currentTarget.value))} onKeyDown=${onKeyDown} />`;
}

/** How fast all sounds of the page are played. */
export function Speed() {
  const rate = `${number(speed.value)}×`;
  return html`<button type="button" class="sound-speed" aria-label=${own.speed(rate)} title=${own.speed(rate)} onClick=${nextSpeed}><bdi dir="ltr">${rate}</bdi></button>`;
}
