// The words that have just arrived fade in. The end of an answer is drawn again with almost every token, so each
// word is remembered by its place, and goes on fading where it was. Not on touch screens, whose devices are slower,
// nor for people who want little motion.

const FADE_MS = 240; // as in static/css/markdown.css
/** More at once is a text that was loaded, not one that is being written. */
const MOST_CHARS = 240;
const COMPARED = 16;
const KEPT = ".katex, pre, svg";

const still = matchMedia("(prefers-reduced-motion: reduce), (hover: none)");

export class NewWords {
  #text = "";
  /** @type {{from: number, atMs: number}[]} what arrived lately: the text from `from` to the next one */
  #arrived = [];

  /**
   * Show the new words of the end of an answer.
   * @param {HTMLElement} element
   */
  show(element) {
    if (still.matches) return;
    unwrap(element);
    const nowMs = performance.now();
    const text = element.textContent ?? "";
    const known = knownLength(this.#text, text);
    this.#arrived = this.#arrived.filter(({ from, atMs }) => from < known && nowMs - atMs < FADE_MS);
    if (text.length > known && text.length - known <= MOST_CHARS) this.#arrived.push({ from: known, atMs: nowMs });
    this.#text = text;
    let to = text.length;
    for (const { from, atMs } of this.#arrived.toReversed()) {
      wrap(element, text.length, { from, to, ageMs: nowMs - atMs });
      to = from;
    }
  }
}

/**
 * How much of `text` was shown before. It may begin later than the text before, whose beginning is final by now.
 * @param {string} before
 * @param {string} text
 */
function knownLength(before, text) {
  const length = commonLength(before, text);
  if (length >= Math.min(COMPARED, before.trimEnd().length)) return length;
  const begin = before.indexOf(text.slice(0, COMPARED));
  return begin < 0 ? 0 : commonLength(before.slice(begin), text);
}

/**
 * @param {string} one
 * @param {string} other
 */
function commonLength(one, other) {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}

/**
 * Put the characters between `from` and `to` into elements that fade in, which have done so for `ageMs`.
 * @param {HTMLElement} element
 * @param {number} length of its text
 * @param {{from: number, to: number, ageMs: number}} range
 */
function wrap(element, length, { from, to, ageMs }) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  walker.currentNode = deepestLast(element);
  let end = length;
  let node = walker.currentNode instanceof Text ? walker.currentNode : walker.previousNode();
  while (node instanceof Text && end > from) {
    const begin = end - node.data.length;
    const before = walker.previousNode();
    if (begin < to && !node.parentElement?.closest(KEPT)) fade(node, Math.max(0, from - begin), Math.min(to, end) - begin, ageMs);
    end = begin;
    node = before;
  }
}

/**
 * @param {Text} node
 * @param {number} from
 * @param {number} to
 * @param {number} ageMs
 */
function fade(node, from, to, ageMs) {
  if (to <= from) return;
  const part = from > 0 ? node.splitText(from) : node;
  if (to - from < part.data.length) part.splitText(to - from);
  const span = document.createElement("span");
  span.className = "md-new";
  span.style.animationDelay = `${-Math.round(ageMs)}ms`;
  part.replaceWith(span);
  span.append(part);
}

/** @param {HTMLElement} element which was not drawn again since */
function unwrap(element) {
  const spans = element.querySelectorAll(".md-new");
  for (const span of spans) span.replaceWith(...span.childNodes);
  if (spans.length > 0) element.normalize();
}

/** @param {Node} node */
function deepestLast(node) {
  let last = node;
  while (last.lastChild) last = last.lastChild;
  return last;
}
