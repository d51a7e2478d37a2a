// Decides whether a line is prose rather than part of a formula. Each rule examines a bounded part of the
// line at each position, so the time is linear. Pure.

const COMMAND = /\\[A-Za-z]{1,30}\*?(?:\{[^{}]{0,400}\})?/g;
const WORDS = /(?<!\p{L})(?:\p{L}{2,}[,;:]? ){2}\p{L}{2,}/u;
const SPACELESS_WORDS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]{5}|[。！？]/u;
const MARKUP = /^ {0,3}(?:`{3}|~{3}|#{1,6} |(?:[-*+]|\d{1,9}[.)]) +\p{L}{2}|\|[^\n]*\|[ \t]*$)|(?<![\\$])\$(?!\$)|\\\(/u;

/** @param {string} line */
export function isProse(line) {
  if (MARKUP.test(line)) return true;
  const words = line.replace(COMMAND, "\\");
  return WORDS.test(words) || SPACELESS_WORDS.test(words);
}
