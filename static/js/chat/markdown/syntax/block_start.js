// Finds where a paragraph ends because a block of our own syntax begins. Pure.

/** @typedef {{state: {top: boolean}, blockPlaces: {next(pattern: RegExp, source: string): number}}} BlockLexer */

/**
 * Where `pattern`, a line break and what begins a block, is met in `source`: an index, or undefined.
 * @param {BlockLexer} lexer
 * @param {string} source
 * @param {RegExp} pattern
 */
export function blockStart(lexer, source, pattern) {
  // In a list marked reads line by line, and notices a block when it reaches it.
  if (!lexer.state.top) return undefined;
  const index = upToBlankLine(lexer, source).search(pattern);
  return index < 0 ? undefined : index + 1;
}

const PARAGRAPH_END = /\n *(?=\n)/g;

/**
 * What of `source`, the end of the text that is read, may be one paragraph: up to a blank line.
 * @param {BlockLexer} lexer
 * @param {string} source
 */
export function upToBlankLine(lexer, source) {
  const end = lexer.blockPlaces.next(PARAGRAPH_END, source);
  return end < 0 ? source : source.slice(0, end + 1);
}
