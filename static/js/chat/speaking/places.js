// Where sentences stand in a drawn text. The text has other marks and spaces than the sentences, so only letters and
// digits are compared, in their order. Pure.

const LETTER = /[\p{L}\p{N}]/u;

/**
 * The letters and digits of a text, and the place in the text of each of their UTF-16 units.
 * @param {string} text
 */
export function lettersOf(text) {
  let letters = "";
  /** @type {number[]} */
  const places = [];
  let at = 0;
  for (const character of text) {
    if (LETTER.test(character)) {
      letters += character;
      for (let unit = 0; unit < character.length; unit++) places.push(at + unit);
    }
    at += character.length;
  }
  return { letters, places };
}

/**
 * [first, end] around letters, with the marks that touch them.
 * @param {string} text
 * @param {number[]} places of all letters
 * @param {number} from the first of these letters
 * @param {number} to the one after the last
 * @param {number} least where the sentence before ends
 * @returns {[number, number]}
 */
function withMarks(text, places, from, to, least) {
  let [first, end] = [places[from], places[to - 1] + 1];
  const before = Math.max(least, from > 0 ? places[from - 1] + 1 : 0);
  const most = places[to] ?? text.length;
  while (first > before && !/\s/.test(text[first - 1])) first--;
  while (end < most && !/\s/.test(text[end])) end++;
  return [first, end];
}

/**
 * [first, end] of each sentence in `text`, or null for one that is not there, such as a formula that is drawn.
 * @param {string[]} sentences
 * @param {string} text
 * @returns {([number, number] | null)[]}
 */
export function placesOf(sentences, text) {
  const { letters, places } = lettersOf(text);
  let [from, ended] = [0, 0];
  return sentences.map((sentence) => {
    const wanted = lettersOf(sentence).letters;
    const at = wanted ? letters.indexOf(wanted, from) : -1;
    if (at < 0) return null;
    from = at + wanted.length;
    const place = withMarks(text, places, at, from, ended);
    ended = place[1];
    return place;
  });
}

/**
 * The number of the sentence that is spoken at this time, or -1. `spans`: [first, end, ms, ms] of each.
 * @param {number[][]} spans
 * @param {number} ms
 */
export function sentenceAt(spans, ms) {
  return spans.findIndex(([, , start, end]) => start <= ms && ms < end);
}

/**
 * When the word at a place in the text is spoken, in ms; null where nothing is. Within a sentence this is estimated:
 * each letter takes as long as the others.
 * @param {number[][]} spans [first, end, ms, ms] of each sentence
 * @param {([number, number] | null)[]} places of the sentences in the text
 * @param {number} place
 */
export function msAt(spans, places, place) {
  const number = places.findIndex((range) => range && range[0] <= place && place < range[1]);
  const range = places[number];
  if (!range || !spans[number]) return null;
  const [, , start, end] = spans[number];
  return start + ((place - range[0]) / (range[1] - range[0])) * (end - start);
}
