// Long pasted texts are shown folded in the composer. In the sent message each becomes a fenced block named
// `pasted` below the text, which models understand and the page recognises.

const LONG_CHARS = 2_000;
const LONG_LINES = 30;
/** The most pasted texts of a message that are folded; further ones stay text. */
const MOST_PASTES = 50;
const OPENING = /(?:^|\n\n)(`{3,})pasted\n/g;
const CLOSED = /\n\n|$/y;

/** @param {string} text */
export const lineCount = (text) => text.split("\n").length;

/** @param {string} text */
export function isLong(text) {
  return text.length > LONG_CHARS || lineCount(text) > LONG_LINES;
}

/**
 * `text` without leading blank lines and trailing spaces; the first line keeps its indentation.
 * @param {string} text
 */
export function trimmed(text) {
  return text.trimEnd().replace(/^(?:[^\S\n]*\n)+/, "");
}

/**
 * The message as it is sent.
 * @param {{text: string, pastes: string[]}} written
 */
export function joined({ text, pastes }) {
  return [trimmed(text), ...pastes.map(fenced)].filter(Boolean).join("\n\n");
}

/**
 * The parts of a sent message, the reverse of `joined`.
 * @param {string} content
 */
export function taken(content) {
  const pastes = [];
  const between = [];
  // Fences that nothing further down closes.
  const open = new Set();
  let end = 0;
  OPENING.lastIndex = 0;
  for (let match = OPENING.exec(content); match && pastes.length < MOST_PASTES; match = OPENING.exec(content)) {
    const from = OPENING.lastIndex;
    const closing = `\n${match[1]}`;
    const to = open.has(closing) ? -1 : closingAt(content, closing, from);
    if (to < 0) {
      open.add(closing);
      OPENING.lastIndex = match.index + 1;
      continue;
    }
    between.push(content.slice(end, match.index));
    pastes.push(content.slice(from, to));
    end = to + closing.length;
    OPENING.lastIndex = end;
  }
  return { text: trimmed([...between, content.slice(end)].join("")), pastes };
}

/**
 * The index from `from` on where `closing` ends a block (a fence alone on its line, then a blank line or
 * the end); or -1.
 * @param {string} content
 * @param {string} closing
 * @param {number} from
 */
function closingAt(content, closing, from) {
  for (let at = content.indexOf(closing, from); at >= 0; at = content.indexOf(closing, at + 1)) {
    CLOSED.lastIndex = at + closing.length;
    if (CLOSED.test(content)) return at;
  }
  return -1;
}

/**
 * The fence is longer than any run of backticks inside, so that nothing inside can end it.
 * @param {string} paste
 */
function fenced(paste) {
  const runs = paste.match(/`+/g) ?? [];
  const fence = "`".repeat(runs.reduce((longest, run) => Math.max(longest, run.length + 1), 3));
  return `${fence}pasted\n${paste}\n${fence}`;
}
