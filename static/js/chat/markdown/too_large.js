// Splits a block that is too large to be laid out into pieces of plain text, up to a blank line before
// an unindented line. Pure.
import { PIECE_CHARS, wholeCharacter } from "./cuts.js";

const END = /\n[ \t]*\n(?=\S)/g;
const READ_AT_ONCE_CHARS = 64_000;

/**
 * The pieces of the block in `source` from `from` on: {pieces, end, isOver}. A piece ends at a line break, if
 * there is one; the text after `end` is too short for a piece yet.
 * @param {string} source
 * @param {number} from
 * @param {boolean} isDone
 */
export function readPlain(source, from, isDone) {
  const head = source.slice(from, from + READ_AT_ONCE_CHARS);
  END.lastIndex = 0;
  const blank = END.exec(head);
  const isAll = isDone && from + head.length === source.length;
  const length = blank ? blank.index + blank[0].length : head.length;
  const pieces = [];
  let at = 0;
  while (length - at > 2 * PIECE_CHARS || (at < length && (blank || isAll))) {
    const end = Math.min(length, pieceEnd(head, at));
    pieces.push(head.slice(at, end));
    at = end;
  }
  return { pieces, end: from + at, isOver: at === length && Boolean(blank || isAll) };
}

/**
 * @param {string} text
 * @param {number} at
 */
function pieceEnd(text, at) {
  const line = text.indexOf("\n", at + PIECE_CHARS) + 1;
  if (line > 0 && line <= at + 2 * PIECE_CHARS) return line;
  return text.length <= at + 2 * PIECE_CHARS ? text.length : wholeCharacter(text, at + 2 * PIECE_CHARS);
}
