import { html, useEffect, useRef, useState } from "../../../preact.js";
import { number } from "../../lib/format.js";
import { leaveTurn, nextSpeed, speed, takeTurn } from "../../sound/playing.js";
import { clock, own } from "../../sound/texts.js";
import { SoundIcon } from "./sound_icons.js";

const STEP_S = 5;
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 };

/**
 * Plays the sound of a file. Nothing of it is loaded before.
 * @param file {id, name, duration_ms}
 * @param source resolves with the address of the sound, or null
 */
export function Player({ file, source }) {
  const audio = useRef(null);
  const { isPlaying, atMs, setAt, lengthMs, isBroken, listeners } = usePlayed(file);
  useEffect(() => {
    const element = audio.current;
    return () => leaveTurn(element);
  }, []);
  const rate = speed.value;
  useEffect(() => {
    audio.current.playbackRate = audio.current.defaultPlaybackRate = rate;
  }, [rate]);
  const loading = useRef(null);
  /** Resolves with the element, or null if it is on the page no more. */
  const load = async () => {
    if (isBroken) loading.current = null;
    // Once: what is asked meanwhile happens in its order.
    loading.current ??= source().then((address) => audio.current && (audio.current.src = address ?? ""));
    await loading.current;
    return audio.current;
  };
  const toggle = async () => {
    if (isPlaying) return audio.current.pause();
    const element = await load();
    if (!element) return undefined;
    takeTurn(element, file.name);
    // If it cannot be played, the element says so in an event.
    return element.play().catch(() => {});
  };
  const seek = async (ms) => {
    // The element says so only once something of the sound is loaded.
    setAt(ms);
    const element = await load();
    if (element) element.currentTime = ms / 1_000;
  };
  const label = (isPlaying ? own.stop : own.play)(file.name);
  return html`<div class="sound-player" role="group" aria-label=${file.name}>
    <audio preload="none" ref=${audio} ...${listeners}></audio>
    <button type="button" class="sound-play" aria-label=${label} title=${label} onClick=${() => void toggle()}><${SoundIcon} name=${isPlaying ? "pause" : "play"} /></button>
    <span class="sound-name" dir="auto" title=${file.name}>${file.name}</span>
    <div class="sound-controls">
      <${Position} file=${file} atMs=${atMs} lengthMs=${lengthMs} seek=${(ms) => void seek(ms)} />
      <span class="sound-time meta">${atMs > 0 || !lengthMs ? clock(atMs) : clock(lengthMs)}</span>
      <button type="button" class="sound-speed" aria-label=${own.speed(`${number(rate)}×`)} title=${own.speed(`${number(rate)}×`)} onClick=${nextSpeed}><bdi dir="ltr">${number(rate)}×</bdi></button>
    </div>
    <p class="sound-broken meta meta-problem" role="status">${isBroken && own.notPlayed}</p>
  </div>`;
}

/** What the element says of itself, and the listeners that hear it. */
function usePlayed(file) {
  const [isPlaying, setPlaying] = useState(false);
  const [atMs, setAt] = useState(0);
  const [knownMs, setKnown] = useState(0);
  const [isBroken, setBroken] = useState(false);
  const listeners = {
    onPlay: () => (setPlaying(true), setBroken(false)),
    onPause: () => setPlaying(false),
    onEnded: () => setPlaying(false),
    onTimeUpdate: ({ currentTarget }) => setAt(currentTarget.currentTime * 1_000),
    // Some recordings do not say how long they are.
    onDurationChange: ({ currentTarget: { duration } }) => Number.isFinite(duration) && setKnown(duration * 1_000),
    onError: ({ currentTarget }) => (setPlaying(false), setBroken(currentTarget.hasAttribute("src"))),
  };
  return { isPlaying, atMs, setAt, lengthMs: knownMs || file.duration_ms || 0, isBroken, listeners };
}

function Position({ file, atMs, lengthMs, seek }) {
  const onKeyDown = (event) => {
    const step = STEPS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const isTurned = getComputedStyle(event.currentTarget).direction === "rtl" && /Left|Right/.test(event.key);
    seek(Math.max(0, Math.min(lengthMs, atMs + (isTurned ? -step : step) * STEP_S * 1_000)));
  };
  return html`<input type="range" class="sound-position" min="0" max=${Math.max(1, Math.round(lengthMs))} step="100" value=${Math.round(atMs)}
    style=${{ "--played": `${lengthMs ? Math.min(100, (100 * atMs) / lengthMs) : 0}%` }}
    aria-label=${own.position(file.name)} aria-valuetext=${own.at(clock(atMs), clock(lengthMs))}
    onInput=${(event) => seek(Number(event.currentTarget.value))} onKeyDown=${onKeyDown} />`;
}
