import { html, useEffect, useState } from "../../preact.js";
import { clockTime } from "../format.js";
import { text } from "../text.js";

/** What is known about the connection, in a few words; only trouble draws attention. */
export function ConnectionState({ store }) {
  const state = store.connection.state.value;
  const label = labelOf(state);
  if (!label) return null;
  return html`<div class=${`connection connection-${state.kind}`} role="status" title=${state.kind === "live" ? text.liveHint : undefined}>
    <span class="connection-dot"></span>
    <span class="connection-label">${label}</span>
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
    live: text.live,
    checking: text.checking,
    offline: state.since && text.offlineSince(clockTime(state.since)),
    "signed-out": text.signedOut,
    suspended: text.suspended,
    stopped: text.connectionStopped,
  }[state.kind];
}

function NextTry({ at }) {
  const [nowMs, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  // Counting down is for the eye; a screen reader hears only that it is offline.
  return html`<span class="connection-next" aria-hidden="true">${text.nextTryIn(Math.ceil((at - nowMs) / 1000))}</span>`;
}
