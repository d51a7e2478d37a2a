// Which part of a growing markdown text can change no more. Pure.

const FENCE = /^(`{3,}|~{3,})[^\n`]*\n/;

/**
 * How many of `tokens` (top-level blocks of `source`) are final: all before the last block that
 * already has a whole line of its own. Until then the line may still turn out to belong to the
 * block before it ("2" may become the list item "2.").
 */
export function finalCount(tokens) {
  let count = tokens.length;
  while (count > 0 && tokens[count - 1].type === "space") count--;
  if (count === 0) return 0;
  const last = tokens[count - 1];
  const hasWholeLine = last.raw.includes("\n") || count < tokens.length;
  return hasWholeLine ? count - 1 : Math.max(0, count - 2);
}

/** The code fence that `source` opens with, unless it ends with it again: {mark, start}. */
export function openFence(source) {
  const match = FENCE.exec(source);
  return match ? { mark: match[1], start: match[0].length } : null;
}

/**
 * How much of `source` from `from` on is certainly code: up to the line that closes the fence, or
 * to a last line that may still become it.
 */
export function codeUntil(source, from, mark) {
  const closing = new RegExp(`^ {0,3}${mark[0] === "~" ? "~" : "`"}{${mark.length},}[ \\t]*$`);
  let lineStart = from;
  for (let end = source.indexOf("\n", lineStart); end !== -1; end = source.indexOf("\n", lineStart)) {
    if (closing.test(source.slice(lineStart, end))) return { until: lineStart, isClosed: true };
    lineStart = end + 1;
  }
  return { until: lineStart, isClosed: false };
}
