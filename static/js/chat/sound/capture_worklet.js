// Runs in the thread of the sound: sends what the microphone hears to the page, as one channel. The page imports this
// module only for its address, which contains the hash of the file.

export const address = import.meta.url;
export const NAME = "capture";
const BATCH = 2_048;

// Types know the page's scope, not this one.
const scope = /** @type {any} */ (globalThis);

function register() {
  class Capture extends scope.AudioWorkletProcessor {
    #batch = new Float32Array(BATCH);
    #filled = 0;

    /** @param {Float32Array[][]} inputs the channels of each */
    process([channels]) {
      const length = channels?.[0]?.length ?? 0;
      for (let at = 0; at < length; at++) {
        this.#batch[this.#filled++] = channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length;
        if (this.#filled === BATCH) this.#send();
      }
      return true;
    }

    #send() {
      this.port.postMessage(this.#batch, [this.#batch.buffer]);
      this.#batch = new Float32Array(BATCH);
      this.#filled = 0;
    }
  }
  scope.registerProcessor(NAME, Capture);
}

if (scope.AudioWorkletProcessor) register();
