// A time limit that a computer which sleeps, or a page that is held back, does not use up: it counts
// ticks, of which one that comes late is one all the same.

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
