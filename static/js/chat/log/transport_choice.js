// Chooses between WebSocket and HTTP from how earlier connections have ended.

const FAILURES_BEFORE_HTTP = 2;
// A socket that ends this soon counts as a failure, even if it can be opened again.
const LASTING_MS = 10_000;
const PROBE_MS = { first: 200, then: 30_000, longest: 600_000 };

export class TransportChoice {
  /** Whether the current connection, or the one being made, uses HTTP. */
  isHttp = false;
  /** Whether a WebSocket was tried beside HTTP and failed. */
  isBlocked = false;

  #hasHttp;
  // Consecutive failures of WebSockets.
  #failures = 0;
  // If HTTP failed, a WebSocket is tried next.
  #hasHttpFailed = false;
  #openedAtMs = 0;
  // The first replay has caught up.
  #isProven = false;
  #probeMs = PROBE_MS.first;

  /** @param {boolean} hasHttp whether HTTP is available as the other transport */
  constructor(hasHttp) {
    this.#hasHttp = hasHttp;
  }

  get isProven() {
    return this.#isProven;
  }

  get isNextHttp() {
    return this.#hasHttp && this.#failures >= FAILURES_BEFORE_HTTP && !this.#hasHttpFailed;
  }

  /** Whether WebSockets have failed recently. */
  get isDoubtful() {
    return !this.isHttp && this.#failures > 0;
  }

  begin() {
    this.isHttp = this.isNextHttp;
    this.#isProven = false;
  }

  opened() {
    this.#openedAtMs = Date.now();
  }

  proven() {
    this.#isProven = true;
    this.#hasHttpFailed = false;
    if (!this.isHttp) this.isBlocked = false;
  }

  /** A message has arrived. */
  heard() {
    if (this.isHttp || !this.#isProven || this.#isYoung) return;
    this.#failures = 0;
    this.networkChanged();
  }

  networkChanged() {
    this.#probeMs = PROBE_MS.first;
  }

  /** The server did not answer a ping. */
  fellSilent() {
    this.#failed(this.#isProven ? 1 : FAILURES_BEFORE_HTTP);
  }

  /** @param {boolean} isByNetwork whether the close code is not the server's */
  closed(isByNetwork) {
    this.#failed(isByNetwork && (!this.#isProven || this.#isYoung) ? 1 : 0);
  }

  /** A WebSocket takes over. If it does not last either, one failure is enough to go back. */
  takeWebSocket() {
    this.isHttp = this.#isProven = false;
    this.#failures = FAILURES_BEFORE_HTTP - 1;
  }

  /** The delay in ms before a WebSocket is tried beside HTTP; it grows with each try. */
  nextProbeMs() {
    const inMs = this.#probeMs;
    this.#probeMs = Math.min(PROBE_MS.longest, Math.max(PROBE_MS.then, inMs * 2));
    return inMs;
  }

  /** @param {number} weight */
  #failed(weight) {
    if (!this.isHttp) this.#failures += weight;
    this.#hasHttpFailed = this.isHttp && !this.#isProven;
  }

  get #isYoung() {
    return Date.now() - this.#openedAtMs < LASTING_MS;
  }
}
