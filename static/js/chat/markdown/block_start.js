// Where a paragraph ends because a block of ours begins. Pure.

/** Where `pattern`, a line break and what begins a block, is met in `source`: an index, or undefined. */
export function blockStart(lexer, source, pattern) {
  // In a list marked reads line by line, and sees a block when it comes to it.
  if (!lexer.state.top) return undefined;
  const index = source.search(pattern);
  return index < 0 ? undefined : index + 1;
}
