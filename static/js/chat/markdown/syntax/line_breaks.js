// Keeps the line breaks within paragraphs, so that poems, addresses and letters keep their lines. Pure.

/** @typedef {{type: string, raw: string, text?: string}} InlineToken `text` is there if `type` is "text" */

const LINE_END = /[ \t]*\n[ \t]*/;
const BREAK_TAG = /^<br\s*\/?>$/i;

/**
 * The inline `tokens` of one paragraph, cell or mark, with a break for each line end between words.
 * @param {InlineToken[]} tokens
 */
export function withBreaks(tokens) {
  if (!tokens.some(({ type, text }) => type === "text" && text?.includes("\n"))) return tokens;
  const broken = [];
  for (const [index, token] of tokens.entries()) {
    if (token.type !== "text" || !token.text?.includes("\n")) {
      broken.push(token);
      continue;
    }
    const lines = token.text.split(LINE_END);
    for (const [number, line] of lines.entries()) {
      const isAtEdge = broken.length === 0 || (index === tokens.length - 1 && number === lines.length - 1 && !line);
      if (number > 0 && !isAtEdge && !isBreak(broken.at(-1))) broken.push({ type: "br", raw: "\n" });
      if (line) broken.push({ ...token, raw: line, text: line });
    }
  }
  return broken;
}

/**
 * A token that breaks the line itself gets no second break.
 * @param {InlineToken | undefined} token
 */
const isBreak = (token) => token?.type === "br" || (token?.type === "html" && BREAK_TAG.test(token.raw));
