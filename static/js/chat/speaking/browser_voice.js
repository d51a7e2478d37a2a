// The browser's own voice, sentence by sentence: long texts are cut off by some browsers.

/**
 * Speak the sentences. Returns a function that stops.
 * @param {string[]} sentences
 * @param {(number: number) => void} onSentence before each
 * @param {() => void} onEnd after the last, or if the browser cannot go on
 */
export function speak(sentences, onSentence, onEnd) {
  let isStopped = false;
  // Some browsers forget an utterance that nothing refers to, and its events.
  /** @type {SpeechSynthesisUtterance | null} */
  let current = null;
  /** @param {number} number */
  const say = (number) => {
    if (isStopped) return;
    if (number === sentences.length) {
      onEnd();
      return;
    }
    onSentence(number);
    current = new SpeechSynthesisUtterance(sentences[number]);
    current.onend = () => say(number + 1);
    current.onerror = () => !isStopped && onEnd();
    speechSynthesis.speak(current);
  };
  // What another page of this browser has left.
  speechSynthesis.cancel();
  say(0);
  return () => {
    isStopped = true;
    current = null;
    speechSynthesis.cancel();
  };
}
