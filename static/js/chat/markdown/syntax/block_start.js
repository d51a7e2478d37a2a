// Finds where a paragraph ends because a block of our own syntax begins. Pure.

/** @typedef {{state: {top: boolean}, blockPlaces: {next(pattern: RegExp, source: string): number}}} BlockLexer */

/**
 * The index of the next block in `source`, or undefined. `pattern` matches a line break and the start of the block.
 * @param {BlockLexer} lexer
 * @param {string} source
 * @param {RegExp} pattern
 */
export function blockStart(lexer, source, pattern) {
  // Within a list marked reads line by line, and recognises a block when it reaches it.
  if (!lexer.state.top) return undefined;
  const index = upToBlankLine(lexer, source).search(pattern);
  return index < 0 ? undefined : index + 1;
}

const PARAGRAPH_END = /\n *(?=\n)/g;

/**
 * The part of `source` (the rest of the text) that may be one paragraph: up to a blank line.
 * @param {BlockLexer} lexer
 * @param {string} source
 */
export function upToBlankLine(lexer, source) {
  const end = lexer.blockPlaces.next(PARAGRAPH_END, source);
  return end < 0 ? source : source.slice(0, end + 1);
}
