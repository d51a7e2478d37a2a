// A line that ends within a paragraph ends on the page, too: poems, addresses and letters keep
// their lines. Pure.

const LINE_END = /[ \t]*\n[ \t]*/;
const BREAK_TAG = /^<br\s*\/?>$/i;

/** The inline `tokens` of one paragraph, cell or mark, with a break for each line end between words. */
export function withBreaks(tokens) {
  if (!tokens.some(({ type, text }) => type === "text" && text.includes("\n"))) return tokens;
  const broken = [];
  for (const [index, token] of tokens.entries()) {
    if (token.type !== "text" || !token.text.includes("\n")) {
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

/** What breaks the line by itself is not broken twice. */
const isBreak = ({ type, raw }) => type === "br" || (type === "html" && BREAK_TAG.test(raw));
