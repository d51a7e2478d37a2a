// Chooses between WebSocket and HTTP from how earlier connections have ended.

const FAILURES_BEFORE_HTTP = 2;
// A socket that ends so soon is of no use, however often it can be opened.
const LASTING_MS = 10_000;
const PROBE_MS = { first: 200, then: 30_000, longest: 600_000 };

export class TransportChoice {
  /** Whether the connection that is there, or is being made, is over HTTP. */
  isHttp = false;
  /** Whether a WebSocket was tried beside it, and got nothing through. */
  isBlocked = false;

  #hasHttp;
  #failures = 0; // of WebSockets, one after the other
  #hasHttpFailed = false; // the last try of it: a WebSocket is next
  #openedAtMs = 0;
  #isProven = false; // what was asked for has come
  #probeMs = PROBE_MS.first;

  /** @param {boolean} hasHttp whether there is this other way */
  constructor(hasHttp) {
    this.#hasHttp = hasHttp;
  }

  get isProven() {
    return this.#isProven;
  }

  get isNextHttp() {
    return this.#hasHttp && this.#failures >= FAILURES_BEFORE_HTTP && !this.#hasHttpFailed;
  }

  /** Whether WebSockets have failed of late. */
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

  /** Something has come. */
  heard() {
    if (this.isHttp || !this.#isProven || this.#isYoung) return;
    this.#failures = 0;
    this.networkChanged();
  }

  networkChanged() {
    this.#probeMs = PROBE_MS.first;
  }

  /** The other end was silent though it was asked. */
  fellSilent() {
    this.#failed(this.#isProven ? 1 : FAILURES_BEFORE_HTTP);
  }

  /** @param {boolean} isByNetwork whether the server did not say why */
  closed(isByNetwork) {
    this.#failed(isByNetwork && (!this.#isProven || this.#isYoung) ? 1 : 0);
  }

  /** A WebSocket takes over. If it does not last either, one failure is enough to go back. */
  takeWebSocket() {
    this.isHttp = this.#isProven = false;
    this.#failures = FAILURES_BEFORE_HTTP - 1;
  }

  /** When to try a WebSocket beside HTTP: soon, then less and less often. */
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
