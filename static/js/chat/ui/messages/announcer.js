import { effect } from "../../../signals.js";
import { html, useEffect, useRef } from "../../../preact.js";
import { isAnswering } from "../../log/fold.js";
import { Speech } from "../../speech.js";
import { endReason } from "../../lib/format.js";
import { text } from "../../text.js";

const PAUSE_MS = 1_200;
const KEPT = 24;

/** Announces the growing answer to a screen reader sentence by sentence, not token by token. */
export function Announcer({ store }) {
  const region = useRef(null);
  useEffect(() => announce(store, region.current), []);
  return html`<div class="visually-hidden" role="log" aria-live="polite" aria-relevant="additions" aria-label=${text.announcements} ref=${region}></div>`;
}

/** Follow the last answer of the chat on screen; returns a function that stops this. */
function announce(store, region) {
  let spoken = null; // {id, speech}
  let ended = null; // the last end that was announced
  let waited = null; // the last wait that was announced
  let timer = null;
  let waiting = [];
  const flush = () => {
    timer = null;
    if (waiting.length === 0) return;
    const line = document.createElement("p");
    line.textContent = waiting.join(" ");
    waiting = [];
    region.append(line);
    while (region.childElementCount > KEPT) region.firstElementChild.remove();
  };
  const say = (sentences) => {
    waiting.push(...sentences);
    if (waiting.length > 0) timer ??= setTimeout(flush, PAUSE_MS);
  };
  const stop = effect(() => {
    const open = store.current.value;
    const message = lastAnswer(open);
    if (!message) return;
    const isRunning = isAnswering(message);
    const end = open.lastEnded.value;
    // A short answer may begin and end between two runs of this effect.
    const hasJustEnded = !isRunning && end?.id === message.id && end !== ended;
    if ((isRunning || hasJustEnded) && spoken?.id !== message.id) spoken = { id: message.id, speech: new Speech() };
    if (spoken?.id !== message.id) return;
    say(spoken.speech.take(message.text, !isRunning));
    // Once for each wait: the seconds that count down on screen are not announced.
    if (message.waiting && message.waiting.at !== waited) {
      waited = message.waiting.at;
      say([text.waitingReason(message.waiting.code), text.tryingAgainIn(Math.ceil(message.waiting.delay_ms / 1000))]);
    }
    if (isRunning) return;
    spoken = null;
    ended = end;
    say([endOf(message)]);
  });
  return () => {
    stop();
    clearTimeout(timer);
  };
}

function endOf(message) {
  if (message.status === "error") return endReason(message.error);
  return message.status === "stopped" ? text.answerStopped : text.answerComplete;
}

/** The last message of the chat, if it is an answer. An effect that calls this runs again with each of its tokens. */
function lastAnswer(open) {
  if (!open?.isLoaded.value) return null;
  open.shape.value;
  const message = open.path().at(-1);
  if (!message || message.role === "user") return null;
  open.tick(message.id).value;
  return message;
}
