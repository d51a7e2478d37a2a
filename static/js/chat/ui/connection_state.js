import { html, useEffect, useRef, useState } from "../../preact.js";
import { clockTime } from "../lib/format.js";
import { text } from "../text.js";

const CAUGHT_UP_MS = 2_500;

/** The state of the connection in a few words; only problems draw attention. */
export function ConnectionState({ store }) {
  const state = store.connection.state.value;
  const hasCaughtUp = useCaughtUp(state.kind);
  const label = hasCaughtUp ? text.caughtUp : labelOf(state);
  const waiting = waitingIn(store);
  if (!label) return null;
  // Only screen readers are told that all is well.
  const isCalm = state.kind === "live" && !state.isOverHttp && !hasCaughtUp && !waiting;
  return html`<div class=${`connection connection-${state.kind}${state.isOverHttp ? " connection-over-http" : ""}${isCalm ? " visually-hidden" : ""}`} role="status" title=${hintOf(state)}>
    <span class="connection-dot"></span>
    <span class="connection-label">${label}</span>
    ${waiting > 0 && html`<span class="connection-waiting">${text.waitingToSend(waiting)}</span>`}
    ${state.kind === "offline" && html`<${NextTry} at=${state.nextTryAt} />
      <button type="button" class="link-button" onClick=${() => store.connection.retryNow()}>${text.retryNow}</button>`}
    ${state.kind === "signed-out" && html`<a class="link-button" href="/account/login/">${text.signIn}</a>`}
    ${state.kind === "stopped" && html`<a class="link-button" href="">${text.reload}</a>`}
  </div>`;
}

function labelOf(state) {
  return {
    connecting: text.connecting,
    "catching-up": text.catchingUp,
    live: state.isOverHttp ? text.liveOverHttp : text.live,
    checking: text.checking,
    offline: state.since && text.offlineSince(clockTime(state.since)),
    "signed-out": text.signedOut,
    suspended: text.suspended,
    stopped: text.connectionStopped,
  }[state.kind];
}

function hintOf({ kind, isOverHttp }) {
  if (kind !== "live") return undefined;
  return isOverHttp ? text.liveOverHttpHint : text.liveHint;
}

/** The number of messages in all chats that wait to be sent. */
function waitingIn(store) {
  return store.sendQueue.items.value.filter(({ status }) => status === "waiting" || status === "held").length;
}

/** Whether the connection has just come back, which is shown for a moment. */
function useCaughtUp(kind) {
  const [isShown, setShown] = useState(false);
  const wasAway = useRef(false);
  useEffect(() => {
    if (kind === "offline") wasAway.current = true;
    if (kind !== "live" || !wasAway.current) return undefined;
    wasAway.current = false;
    setShown(true);
    const timer = setTimeout(() => setShown(false), CAUGHT_UP_MS);
    return () => (clearTimeout(timer), setShown(false));
  }, [kind]);
  return isShown && kind === "live";
}

function NextTry({ at }) {
  const [nowMs, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  // The countdown is visual only; a screen reader announces only that the page is offline.
  return html`<span class="connection-next" aria-hidden="true">${text.nextTryIn(Math.ceil((at - nowMs) / 1000))}</span>`;
}
