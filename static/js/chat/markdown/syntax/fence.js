// A fenced code block that is followed line by line while it grows. Pure.
import { languageOf } from "../html.js";

const OPENING = /^( {0,3})(`{3,}(?=[^`\n]*\n)|~{3,}(?!~))([^\n]*)\n/;
const LONGEST_LINE_CHARS = 4_000;
const MOST_CHARS = 20_000; // read in one step
const MAY_CLOSE = /^ {0,3}[`~]*[ \t]*$/;

/** @typedef {{language: string, length: number, closing: RegExp, indent: number, isWithinLine?: boolean}} Fence */
/** @typedef {{code: string, next: number, isClosed: boolean, openLine: string, hasMore?: boolean}} Code */

/**
 * The fence at the start of `source`, once its line is complete.
 * @param {string} source
 * @returns {Fence | null}
 */
export function fenceAt(source) {
  const match = OPENING.exec(source);
  if (!match) return null;
  const [opening, indent, mark, info] = match;
  const closing = new RegExp(`^ {0,3}${mark}[~\`]*[ \\t]*$`);
  return { language: languageOf(info), length: opening.length, closing, indent: indent.length };
}

/**
 * The code in `source` from `from` on. `openLine` is the last line while it is incomplete, unless it may become
 * the closing fence; reading continues at `next`.
 * @param {string} source
 * @param {number} from
 * @param {Fence} fence
 * @param {boolean} isDone
 * @returns {Code}
 */
export function readCode(source, from, fence, isDone) {
  const lines = [];
  for (let next = from; ; ) {
    if (next - from > MOST_CHARS) return { code: lines.join(""), next, isClosed: false, openLine: "", hasMore: true };
    const end = source.indexOf("\n", next);
    if (end === -1) return withLastLine(lines.join(""), source, next, fence, isDone);
    const line = source.slice(next, end);
    if (!fence.isWithinLine && fence.closing.test(line)) return { code: lines.join(""), next: end + 1, isClosed: true, openLine: "" };
    lines.push(`${fence.isWithinLine ? line : dedented(line, fence.indent)}\n`);
    fence.isWithinLine = false;
    next = end + 1;
  }
}

/**
 * The result of `readCode` when an incomplete line follows the lines of `code` at `next`.
 * @param {string} code
 * @param {string} source
 * @param {number} next
 * @param {Fence} fence
 * @param {boolean} isDone
 */
function withLastLine(code, source, next, fence, isDone) {
  const line = source.slice(next);
  const own = fence.isWithinLine ? line : dedented(line, fence.indent);
  const isClosing = fence.closing.test(line);
  if (isDone) return { code: isClosing && !fence.isWithinLine ? code : code + own, next: source.length, isClosed: true, openLine: "" };
  if (line.length > LONGEST_LINE_CHARS && !isClosing) {
    // An endless line would be drawn again with each token.
    fence.isWithinLine = true;
    return { code: code + own, next: source.length, isClosed: false, openLine: "" };
  }
  return { code, next, isClosed: false, openLine: MAY_CLOSE.test(line) && !fence.isWithinLine ? "" : own };
}

/**
 * A line without the indentation of its fence.
 * @param {string} line
 * @param {number} indent
 */
function dedented(line, indent) {
  return indent && line.startsWith(" ".repeat(indent)) ? line.slice(indent) : line;
}
