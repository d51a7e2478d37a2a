import { html, useEffect, useState } from "../../../preact.js";
import { entryTimeMs } from "../../lib/ids.js";
import { text } from "../../text.js";
import { ModelMenu } from "../composer/model_menu.js";

/** Why an answer waits for another attempt, when that begins, and what else can be done. */
export function Waiting({ store, open, message }) {
  const { at, code, delay_ms } = message.waiting;
  const seconds = useSecondsLeft(entryTimeMs(at), delay_ms);
  return html`<div class="notice notice-acts notice-waiting" inert=${open.isGlimpse}>
    <p>${text.waitingReason(code)} ${seconds > 0 ? text.tryingAgainIn(seconds) : text.tryingAgain}</p>
    <${AnotherModel} store=${store} message=${message} onPick=${(id) => store.answers.switchModel(message, id)} />
    <button type="button" class="button" onClick=${() => store.answers.stop(message.id)}>${text.stopWaiting}</button>
  </div>`;
}

/** The list of models for another answer to the same message. */
export function AnotherModel({ store, message, onPick }) {
  if (store.models.value.length < 2) return null;
  return html`<${ModelMenu} store=${store} selected=${message.model} onPick=${onPick}
    label=${text.anotherModel} trigger=${text.anotherModel} triggerClass="button" />`;
}

/** Whole seconds until `delayMs` after `startMs`, a time by the server's clock; at least 0. */
function useSecondsLeft(startMs, delayMs) {
  const [endMs] = useState(() => endOf(startMs, delayMs));
  const [nowMs, setNow] = useState(Date.now);
  const seconds = Math.max(0, Math.ceil((endMs - nowMs) / 1000));
  useEffect(() => {
    if (seconds === 0) return undefined;
    const timer = setTimeout(() => setNow(Date.now()), (endMs - Date.now()) % 1000 || 1000);
    return () => clearTimeout(timer);
  }, [nowMs]);
  return seconds;
}

/** If the device's clock disagrees with the server's, the wait counts from now on. */
function endOf(startMs, delayMs) {
  const nowMs = Date.now();
  const isPlausible = startMs <= nowMs && nowMs <= startMs + delayMs;
  return (isPlausible ? startMs : nowMs) + delayMs;
}
