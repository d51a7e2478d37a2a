import { html } from "../../preact.js";

export const ICON_PATHS = {
  menu: "M4 7h16M4 12h16M4 17h10",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  pencil: "M4 20l1-4L16 5l3 3L8 19l-4 1zM14 7l3 3",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12M10.5 11v5M13.5 11v5",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  again: "M19 12a7 7 0 1 1-2.3-5.2M19 4v4h-4",
  left: "M14.5 6l-6 6 6 6",
  right: "M9.5 6l6 6-6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  chevron: "M7 10l5 5 5-5",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  paste: "M9 4h6v3H9zM9 5.5H6V20h12V5.5h-3M9 11h6M9 15h4",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20 20",
  instructions: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
  wrap: "M4 7h16M4 12h12.5a2.75 2.75 0 0 1 0 5.5H13M15.5 15L13 17.5l2.5 2.5M4 17.5h5",
  download: "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 19.5h14",
  up: "M12 19V5M6 11l6-6 6 6",
  pin: "M9 4h6M10 4v6l-3 4h10l-3-4V4M12 14v6",
  archive: "M4 5h16v4H4zM5.5 9v10h13V9M10 13h4",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  chat: "M5 6h14v10h-8l-4 3v-3H5z",
  person: "M12 12a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM5 19c1-3.5 4-4.5 7-4.5s6 1 7 4.5",
  answer: "M5 7h14M5 12h14M5 17h8",
  theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  settings: "M5 8h8M17 8h2M5 16h2M11 16h8M15 6v4M9 14v4",
  keyboard: "M3.5 7h17v10h-17zM7 10.5h.01M10.3 10.5h.01M13.7 10.5h.01M17 10.5h.01M8.5 14h7",
  quote: "M10 7H5v6h5V7zM10 13c0 2.5-1.5 4-4 4M19 7h-5v6h5V7zM19 13c0 2.5-1.5 4-4 4",
  printer: "M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7z",
  folder: "M4 7.5V18h16V8.5h-8.5L9.5 6H4z",
  play: "M8 5.5v13l10-6.5z",
  clip: "M19.5 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l7.9-7.9a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.8a1.55 1.55 0 0 1-2.2-2.2l7.1-7.1",
  microphone: "M12 3.5a2.75 2.75 0 0 0-2.75 2.75v5a2.75 2.75 0 0 0 5.5 0v-5A2.75 2.75 0 0 0 12 3.5zM6 11a6 6 0 0 0 12 0M12 17v3.5",
  file: "M6 3.5h8l4 4v13H6zM14 3.5v4h4",
  picture: "M4 5h16v14H4zM4 16l4.5-4.5 4 4 2.5-2.5 5 5M15.5 9.5h.01",
  zoom: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20 20M10.5 8v5M8 10.5h5",
  fit: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20 20M8 10.5h5",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${ICON_PATHS[name]} />
  </svg>`;
}

export function StopIcon() {
  return html`<svg class="icon icon-solid" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <rect x="6.5" y="6.5" width="11" height="11" rx="2.5" />
  </svg>`;
}

/** The mark: the root of a kelp that holds on to the ground. */
export function Mark() {
  return html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <path d="M16 5v13M16 18c0 5-3.5 6.5-9 8M16 18c0 5 3.5 6.5 9 8M16 18v8M16 11c4 0 6.5-2.5 6.5-6.5-4 0-6.5 2-6.5 6.5zM16 15c-3.5 0-5.5-2-5.5-5.5 3.5 0 5.5 2 5.5 5.5z" />
  </svg>`;
}
