// Formulas in tables: a bar within a formula (`$|x|$`) does not end the cell. Pure.
import { mathAt } from "./math_syntax.js";

const MOST_CELLS = 500;
const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const MAY_BE_MATH = /`+|\\[([]|\\[^]|\$/g;

/**
 * Whether `source` begins with the head of a table: the second line has a group of dashes for each cell of the first.
 * @param {string} source
 */
export function beginsTable(source) {
  const [head, delimiters] = source.split("\n", 2);
  if (!head.includes("|") || !delimiters || !DELIMITERS.test(delimiters)) return false;
  return cells(rowOf(head, cells(delimiters))) === cells(delimiters);
}

/**
 * The start of `source`, a table: one row more than are drawn at once (./cuts.js). This bounds the number of
 * cells, because each row gets all cells of the head, however short it is.
 * @param {string} source
 */
export function fewRows(source) {
  const from = source.indexOf("\n") + 1;
  const end = lineEnd(source, source.indexOf("\n", from) + 1, rowsAtOnce(source.slice(0, from)) + 1);
  return source.slice(0, end);
}

/**
 * `source`, a table, with the bars in formulas escaped; the lines stay the same.
 * @param {string} source
 */
export function withBarsEscaped(source) {
  if (!source.includes("$") && !source.includes("\\")) return source;
  const end = source.search(/\n[ \t]*(?:\n|$)/);
  const lines = (end < 0 ? source : source.slice(0, end)).split("\n");
  const columns = cells(lines[1]);
  return lines.map((line) => rowOf(line, columns)).join("\n");
}

/**
 * The number of rows below the line `head` that are drawn at once.
 * @param {string} head
 */
export const rowsAtOnce = (head) => Math.max(1, Math.floor(MOST_CELLS / cells(head)));

/**
 * The end of the `count`th line after `from`.
 * @param {string} source
 * @param {number} from
 * @param {number} count
 */
export function lineEnd(source, from, count) {
  let end = from;
  for (let left = count; left > 0; left--) {
    const next = source.indexOf("\n", end);
    if (next < 0) return source.length;
    end = next + 1;
  }
  return end;
}

/**
 * Escapes bars only if the row has too many cells without that, and not too many with it.
 * @param {string} line
 * @param {number} columns
 */
function rowOf(line, columns) {
  if (!/\$|\\[([]/.test(line) || cells(line) <= columns) return line;
  const row = escaped(line);
  return cells(row) === columns ? row : line;
}

/** @param {string} line */
function cells(line) {
  const row = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return row.replace(/\\[^]/g, "").split("|").length;
}

/** @param {string} line */
function escaped(line) {
  const parts = [];
  let end = 0;
  MAY_BE_MATH.lastIndex = 0;
  for (let match = MAY_BE_MATH.exec(line); match; match = MAY_BE_MATH.exec(line)) {
    if (match[0][0] === "`") {
      const closing = line.indexOf(match[0], MAY_BE_MATH.lastIndex);
      if (closing >= 0) MAY_BE_MATH.lastIndex = closing + match[0].length;
      continue;
    }
    const math = mathAt(line.slice(match.index), line.slice(match.index - 1, match.index));
    if (!math) continue;
    parts.push(line.slice(end, match.index), math.raw.replace(/(?<!\\)\|/g, "\\|"));
    end = match.index + math.raw.length;
    MAY_BE_MATH.lastIndex = end;
  }
  return parts.join("") + line.slice(end);
}
