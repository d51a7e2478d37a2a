import { html, useState } from "../../../preact.js";
import { clockTime, dayName, fullTime, isoTime, isSameDay } from "../../lib/format.js";
import { entryTimeMs } from "../../lib/ids.js";
import { today } from "../../list/clock.js";
import { text } from "../../text.js";

/** The time of a message. A click, a tap or Enter shows the date as well, and what else is known (`children`). */
export function MessageTime({ ms, children }) {
  const [isFull, setFull] = useState(false);
  return html`<button type="button" class="time-button" aria-expanded=${isFull} onClick=${() => setFull(!isFull)}>
    <time datetime=${isoTime(ms)} title=${fullTime(ms)}>${isFull ? fullTime(ms) : clockTime(ms)}</time></button>${isFull && children}`;
}

/** The day that begins with `message`; nothing if the message before it is of the same day, or a chat begins today. */
export function DayMark({ message, before }) {
  today.value; // The names change at midnight.
  const ms = entryTimeMs(message.created);
  if (isSameDay(ms, before ? entryTimeMs(before.created) : Date.now())) return null;
  return html`<p class="day-mark meta"><time datetime=${isoTime(ms)} title=${fullTime(ms)}>${dayName(ms, Date.now(), text.groups)}</time></p>`;
}
