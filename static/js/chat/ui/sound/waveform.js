import { effect } from "../../../signals.js";
import { html, useEffect, useRef } from "../../../preact.js";

const BAR_PX = 3;
const STEP_PX = 5;
const QUIET = 0.35;

/** The loudness of the last seconds as bars, which move towards the start of the line. */
export function Waveform({ recording }) {
  const canvas = useRef(null);
  useEffect(() => {
    const show = () => canvas.current && draw(canvas.current, recording.levels);
    const stop = effect(() => {
      void [recording.elapsedMs.value, recording.state.value];
      show();
    });
    const observer = new ResizeObserver(show);
    observer.observe(canvas.current);
    return () => (stop(), observer.disconnect());
  }, [recording]);
  return html`<canvas class="sound-wave" ref=${canvas} aria-hidden="true"></canvas>`;
}

function draw(canvas, levels) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  const { color, direction } = getComputedStyle(canvas);
  context.scale(scale, scale);
  context.fillStyle = color;
  const count = Math.floor(width / STEP_PX);
  const shown = levels.slice(-count);
  for (let place = 0; place < count; place++) {
    const level = shown[place - (count - shown.length)] ?? 0;
    const tall = Math.max(BAR_PX, level * height);
    const left = width - (count - place) * STEP_PX;
    context.globalAlpha = level > 0 ? 1 : QUIET;
    context.beginPath();
    context.roundRect(direction === "rtl" ? width - left - BAR_PX : left, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
    context.fill();
  }
}
