// A formula in a row of a table may hold bars (`$|x|$`), which end no cell. Pure.
import { mathAt } from "./math_syntax.js";

const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const LONGEST_HEAD_CHARS = 4_000;
const MAY_BE_MATH = /`+|\\[([]|\\[^]|\$/g;

/** Whether the second line of `source` is one of dashes, as below the head of a table. */
export function beginsTable(source) {
  const [head, delimiters] = source.slice(0, LONGEST_HEAD_CHARS).split("\n", 2);
  return head.includes("|") && Boolean(delimiters) && DELIMITERS.test(delimiters);
}

/** `source`, a table from its first line on, with the bars of formulas escaped; the same lines. */
export function withBarsEscaped(source) {
  const end = source.search(/\n[ \t]*(?:\n|$)/);
  const lines = (end < 0 ? source : source.slice(0, end)).split("\n");
  const columns = cells(lines[1]);
  return lines.map((line) => rowOf(line, columns)).join("\n");
}

/** Only where there would be too many cells, and no longer are. */
function rowOf(line, columns) {
  if (!/\$|\\[([]/.test(line) || cells(line) <= columns) return line;
  const row = escaped(line);
  return cells(row) === columns ? row : line;
}

function cells(line) {
  const row = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return row.replace(/\\[^]/g, "").split("|").length;
}

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
