import { html } from "../../../preact.js";

// Filled, as on any player.
const PATHS = {
  play: "M8.5 5.6v12.8a.6.6 0 0 0 .92.5l9.9-6.4a.6.6 0 0 0 0-1l-9.9-6.4a.6.6 0 0 0-.92.5z",
  pause: "M7.5 5.5h2.6a.6.6 0 0 1 .6.6v11.8a.6.6 0 0 1-.6.6H7.5a.6.6 0 0 1-.6-.6V6.1a.6.6 0 0 1 .6-.6zM13.9 5.5h2.6a.6.6 0 0 1 .6.6v11.8a.6.6 0 0 1-.6.6h-2.6a.6.6 0 0 1-.6-.6V6.1a.6.6 0 0 1 .6-.6z",
};
const LINES = { insert: "M4 7h12M4 12h7M4 17h5M16.5 11.5v8M14.5 10c1.2 0 2 .6 2 1.5 0-.9.8-1.5 2-1.5M14.5 21c1.2 0 2-.6 2-1.5 0 .9.8 1.5 2 1.5" };

export function SoundIcon({ name }) {
  return html`<svg class=${name in PATHS ? "icon icon-solid" : "icon"} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${PATHS[name] ?? LINES[name]} /></svg>`;
}
