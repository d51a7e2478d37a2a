// Markdown as plain text, for messages far from the viewport (so that the browser's own search finds them)
// and for screen readers. The result is rough but quick, also for hostile input: no rule backtracks over
// more than a bounded part of a line. Pure. The server's version is chat/plain_text.py.

/** @type {[RegExp, string][]} */
const RULES = [
  [/^ {0,3}(?:`{3,}|~{3,})[^\n]*$/gm, ""],
  [/^ {0,3}\|?(?: *:?-{2,}:? *\|)+(?: *:?-{2,}:? *)?$/gm, ""],
  [/!?\[([^[\]\n]*)\]\([^()\n]*\)/g, "$1"],
  [/\[\^[^[\]\s]+\]:?/g, ""],
  [/^ {0,3}#{1,6} +/gm, ""],
  [/^ {0,3}> ?/gm, ""],
  [/(\*\*|__)(?=\S)([^\n]{0,300}?\S)\1/g, "$2"],
  [/(?:(?<![0-9])~~|~~(?![0-9]))(?=\S)([^\n]{0,300}?\S)~~/g, "$1"],
  [/^( {0,12}[-*+]) \[[ xX]\] /gm, "$1 "],
  [/(?<![\w*])\*(?=\S)([^*\n]*?\S)\*(?![\w*])/g, "$1"],
  [/(?<!`)`+([^`\n]+)`+/g, "$1"],
  [/\\([!-/:-@[-`{-~])/g, "$1"],
];

// A message is converted in one step, so a longer one keeps its marks.
const LONGEST_CHARS = 50_000;

/** @param {string} markdown */
export function plainText(markdown) {
  if (markdown.length > LONGEST_CHARS) return markdown;
  return RULES.reduce((text, [pattern, put]) => text.replace(pattern, put), markdown);
}

const PIECE_CHARS = 4_000;

/**
 * `text` in pieces that the browser lays out quickly; a piece ends at a line break, if there is one.
 * @param {string} text
 */
export function piecesOf(text) {
  const pieces = [];
  for (let at = 0; at < text.length; ) {
    const line = text.lastIndexOf("\n", at + 2 * PIECE_CHARS) + 1;
    const cut = line > at + PIECE_CHARS ? line : at + 2 * PIECE_CHARS;
    const isPair = /[\uDC00-\uDFFF]/.test(text[cut] ?? "");
    const end = text.length - at <= 2 * PIECE_CHARS ? text.length : cut + (isPair ? 1 : 0);
    pieces.push(text.slice(at, end));
    at = end;
  }
  return pieces;
}

/**
 * The estimated height in pixels of a message that has not been drawn yet.
 * @param {string} markdown
 */
export function roughHeight(markdown, charsPerLine = 85) {
  let lines = 0;
  for (const line of markdown.split("\n")) lines += Math.max(line ? 1 : 0.4, Math.ceil(line.length / charsPerLine));
  return Math.round(lines * 26 + 70);
}
