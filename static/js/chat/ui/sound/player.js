import { html, useEffect, useRef, useState } from "../../../preact.js";
import { leaveTurn, speed, takeTurn } from "../../sound/playing.js";
import { clock, own } from "../../sound/texts.js";
import { PlayButton, Position, Speed } from "./controls.js";

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
    <${PlayButton} label=${label} isPlaying=${isPlaying} onClick=${() => void toggle()} />
    <span class="sound-name" dir="auto" title=${file.name}>${file.name}</span>
    <div class="sound-controls">
      <${Position} label=${own.position(file.name)} atMs=${atMs} lengthMs=${lengthMs} seek=${(ms) => void seek(ms)} />
      <span class="sound-time meta">${atMs > 0 || !lengthMs ? clock(atMs) : clock(lengthMs)}</span>
      <${Speed} />
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
