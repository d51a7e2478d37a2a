// A time limit that counts ticks. A late tick counts once, so the limit does not expire while the
// computer sleeps or the browser throttles the page.

const TICK_MS = 250;

export class TimeLimit {
  #timer;

  /**
   * Calls `onEnd` after about `limitMs`, unless stopped before.
   * @param {number} limitMs
   * @param {() => void} onEnd
   */
  constructor(limitMs, onEnd) {
    let ticks = Math.ceil(limitMs / TICK_MS);
    this.#timer = setInterval(() => {
      ticks -= 1;
      if (ticks > 0) return;
      this.stop();
      onEnd();
    }, TICK_MS);
  }

  stop() {
    clearInterval(this.#timer);
  }
}
