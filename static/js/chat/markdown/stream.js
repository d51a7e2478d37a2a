// Splits a growing markdown text into final blocks. Each step reads only the end of the text that may
// still change, and that end stays short: long lists, tables and paragraphs are cut (./cuts.js), and a
// code block is followed line by line. The blocks do not depend on how the text arrived. Pure.
import { cutOf, PARAGRAPH_PREFIX, PIECE_CHARS } from "./cuts.js";
import { fenceAt, readCode } from "./syntax/fence.js";
import { blocksOf, paragraphOf } from "./html.js";
import { linksWith } from "./syntax/links.js";
import { readPlain } from "./too_large.js";

const WINDOW_CHARS = 6_000;
// A longer block that cannot be cut is shown as it was written, because parsing it takes too long.
const LARGEST_CHARS = 12_000;
const MOST_FOOTNOTES = 300;
const LEAST_WINDOW_CHARS = 500;
const WINDOW_GROWTH = 4;
const FENCE_LINE = /(?:^|\n) {0,3}(?:`{3}|~{3})[^\n]*\n/;
// A block that cannot be cut (a long quote) is parsed again only when it has grown by this much, or when
// an unindented line after a blank one may have ended it.
const LARGE_CHARS = 7_000;
const LARGE_GROWTH = 1.25;
const MAY_END = /\n[ \t]*\n\S/;

/** @typedef {import("./syntax/bounded_lexer.js").Token} Token */
/** @typedef {{type: "block", token: Token, raw: string, carried: string | null}} Block `carried`: the kind of block that it continues */

/**
 * A part of the text that is final: a block, the start of a fenced code block, its next whole lines, or its end.
 * @typedef {Block | {type: "code", language: string} | {type: "lines", text: string} | {type: "codeEnd"}} Part
 */

/** Splits a growing text into parts, in the order in which they become final. */
export class BlockStream {
  /** Addresses defined by name so far, as marked keeps them. */
  links = linksWith();
  /** @type {Block[]} the blocks that may still change */
  open = [];
  /** The last line of an open code block. */
  openLine = "";
  /** The text that arrived after `open` was parsed. */
  since = "";
  /** Whether there is more to read in the same text. */
  isBehind = false;

  #offset = 0;
  /** @type {import("./cuts.js").Carry | null} the block that continues at #offset */
  #carry = null;
  /** @type {import("./syntax/fence.js").Fence | null} */
  #fence = null;
  #isPlain = false; // within a block that is too large
  #isFirst = false; // at the start of that block
  #lastStepChars = WINDOW_CHARS; // the length of the last step that returned a part
  #footnotes = 0;
  #readUpTo = 0; // the end of the whole lines that were examined
  #openUpTo = 0; // the end of `open`

  /**
   * Continue in `source`, which begins with the text read before; returns the new final parts.
   * @param {string} source
   * @param {boolean} isDone
   * @returns {Part[]}
   */
  step(source, isDone) {
    this.since = isDone ? "" : this.#waiting(source);
    if (this.since) return [];
    this.open = [];
    this.openLine = "";
    if (this.#fence) return this.#readCode(source, this.#fence, isDone);
    return this.#isPlain ? this.#readPlain(source, isDone) : this.#readText(source, isDone);
  }

  /**
   * Parse a block again, with the links and footnotes defined since.
   * @param {Block} block
   */
  again({ raw, carried, token }) {
    if (token.type === "plain") return token;
    if (carried === "paragraph") return paragraphOf(raw, this.links);
    const again = blocksOf(raw, this.links).find(({ type }) => type !== "space") ?? token;
    if (token.start !== undefined && again.type === "list") again.start = token.start;
    return again;
  }

  /**
   * The text after `open`, while it is too short to parse all of `open` again.
   * @param {string} source
   */
  #waiting(source) {
    const chars = this.#openUpTo - this.#offset;
    if (this.open.length === 0 || chars <= LARGE_CHARS || source.length - this.#offset >= chars * LARGE_GROWTH) return "";
    return MAY_END.test(source.slice(this.#openUpTo - 2)) ? "" : source.slice(this.#openUpTo);
  }

  /**
   * @param {string} source
   * @param {boolean} isDone
   * @returns {Part[]}
   */
  #readText(source, isDone) {
    const from = this.#offset;
    for (const size of this.#windowSizes(source)) {
      const window = source.slice(this.#offset, this.#offset + size);
      const isEnd = this.#offset + window.length === source.length;
      const parts = this.#readWindow(window, isEnd && isDone);
      this.isBehind = parts.length > 0 && !(isEnd && isDone && this.#offset === source.length);
      if (parts.length > 0) {
        this.#lastStepChars = this.#offset - from;
        return parts;
      }
      if (isEnd) {
        this.open = this.#openBlocks(window);
        this.#openUpTo = source.length;
        return [];
      }
    }
    // There may be a complete block before an endless line.
    const window = source.slice(this.#offset, this.#offset + LARGEST_CHARS);
    const lines = window.slice(0, window.lastIndexOf("\n") + 1);
    const parts = endsBlank(lines) && /^\S/.test(window.slice(lines.length)) ? this.#readWindow(lines, true) : [];
    if (parts.length > 0) {
      this.isBehind = true;
      return parts;
    }
    this.#isPlain = true;
    this.#isFirst = true;
    return this.#readPlain(source, isDone);
  }

  /**
   * The sizes of the windows to try. They begin small where blocks are short, because the next step parses the
   * unused end of a window again. A window ends after the first line of code, which is read line by line.
   * @param {string} source
   */
  *#windowSizes(source) {
    const fence = FENCE_LINE.exec(source.slice(this.#offset, this.#offset + WINDOW_CHARS));
    const first = Math.max(LEAST_WINDOW_CHARS, WINDOW_GROWTH * this.#lastStepChars);
    for (let size = fence ? fence.index + fence[0].length : first; size < WINDOW_CHARS; size *= WINDOW_GROWTH) yield size;
    for (let size = WINDOW_CHARS; size <= LARGEST_CHARS; size *= 2) yield size;
  }

  /**
   * Continue in a block that is too large.
   * @param {string} source
   * @param {boolean} isDone
   */
  #readPlain(source, isDone) {
    const { pieces, end, isOver } = readPlain(source, this.#offset, isDone);
    this.#isPlain = !isOver;
    this.#offset = end;
    this.#carry = null;
    this.#readUpTo = 0;
    this.isBehind = isOver ? end < source.length : pieces.length > 0;
    if (!isOver && pieces.length === 0 && isSeen(source.slice(end))) {
      this.open = [plainBlock(source.slice(end), this.#isFirst)];
      this.#openUpTo = source.length;
    }
    return pieces.filter(isSeen).map((raw) => {
      const block = plainBlock(raw, this.#isFirst);
      this.#isFirst = false;
      return block;
    });
  }

  /**
   * The final parts of `window`: all blocks but the last, of complete lines only. An incomplete last line may
   * still become anything ("-", "2.").
   * @param {string} window
   * @param {boolean} isDone
   * @returns {Part[]}
   */
  #readWindow(window, isDone) {
    const lines = isDone ? window : window.slice(0, window.lastIndexOf("\n") + 1);
    if (!isDone && lines.length === this.#readUpTo - this.#offset && lines.length < window.length) return this.#cutLine(window);
    this.#readUpTo = this.#offset + lines.length;
    const text = this.#withPrefix(lines);
    const tokens = blocksOf(text, this.links, isDone ? "nothing" : "blocks");
    return this.#takeFinal(text, tokens, isDone ? tokens.length : lastBlock(tokens));
  }

  /**
   * The parts made of the first `final` of `tokens`, which marked has read from `text`.
   * @param {string} text
   * @param {Token[]} tokens
   * @param {number} final
   * @returns {Part[]}
   */
  #takeFinal(text, tokens, final) {
    const carry = this.#carry;
    /** @type {Part[]} */
    const parts = [];
    let at = 0; // in `text`
    for (const [index, token] of tokens.entries()) {
      const carried = index === 0 ? carry : null;
      const rest = text.slice(at);
      const fence = token.type === "code" && !carried ? fenceAt(rest) : null;
      if (fence) {
        this.#fence = fence;
        this.#advance(at + fence.length, null);
        return [...parts, { type: "code", language: fence.language }];
      }
      if (carried?.start) token.start = carried.start;
      const cut = cutOf(token, rest);
      if (cut) return [...parts, this.#cutOff(rest, cut, at, carried)];
      if (index >= final) break;
      at += token.raw.length;
      if (token.type !== "space") parts.push(this.#block(token, token.raw, carried));
    }
    if (at > 0) this.#advance(at, null);
    return parts;
  }

  /**
   * Cuts a paragraph that is one very long line.
   * @param {string} window
   */
  #cutLine(window) {
    if (window.length <= PIECE_CHARS) return [];
    const carry = this.#carry;
    const text = this.#withPrefix(window);
    const [token] = blocksOf(text, this.links);
    const cut = token.type === "paragraph" ? cutOf(token, text) : null;
    return cut ? [this.#cutOff(text, cut, 0, carry)] : [];
  }

  /**
   * @param {string} rest
   * @param {import("./cuts.js").Cut} cut
   * @param {number} at
   * @param {import("./cuts.js").Carry | null} carried
   */
  #cutOff(rest, cut, at, carried) {
    this.#advance(at + cut.end, cut.carry);
    const raw = rest.slice(0, cut.end);
    return this.#block(blocksOf(raw, this.links)[0], raw, carried);
  }

  /**
   * `text` after the prefix of the block that it continues, if any.
   * @param {string} text
   */
  #withPrefix(text) {
    return (this.#carry?.prefix ?? "") + text;
  }

  /** @param {string} window */
  #openBlocks(window) {
    const carry = this.#carry;
    const tokens = blocksOf(this.#withPrefix(window), linksWith(this.links), "everything");
    return tokens.flatMap((token, index) =>
      token.type === "space" ? [] : [this.#block(token, token.raw, index === 0 ? carry : null)]);
  }

  /**
   * @param {Token} token
   * @param {string} raw
   * @param {import("./cuts.js").Carry | null} carried
   * @returns {Block}
   */
  #block(token, raw, carried) {
    if (token.type === "footnote" && (this.#footnotes += 1) > MOST_FOOTNOTES) return plainBlock(raw, this.#footnotes === MOST_FOOTNOTES + 1);
    if (!carried) return { type: "block", token, raw, carried: null };
    if (carried.start) token.start = carried.start;
    const isParagraph = carried.kind === "paragraph" && token.type === "paragraph";
    const own = isParagraph ? raw.slice(PARAGRAPH_PREFIX.length) : raw;
    return { type: "block", token: isParagraph ? paragraphOf(own, this.links) : token, raw: own, carried: carried.kind };
  }

  /**
   * @param {string} source
   * @param {import("./syntax/fence.js").Fence} fence
   * @param {boolean} isDone
   * @returns {Part[]}
   */
  #readCode(source, fence, isDone) {
    const { code, next, isClosed, openLine, hasMore = false } = readCode(source, this.#offset, fence, isDone);
    this.#offset = next;
    this.openLine = openLine;
    if (isClosed) this.#fence = null;
    this.isBehind = hasMore || (isClosed && next < source.length);
    /** @type {Part[]} */
    const parts = [];
    if (code) parts.push({ type: "lines", text: code });
    if (isClosed) parts.push({ type: "codeEnd" });
    return parts;
  }

  /**
   * Everything up to `end` of the window, including the prefix, is final.
   * @param {number} end
   * @param {import("./cuts.js").Carry | null} carry
   */
  #advance(end, carry) {
    this.#readUpTo = 0;
    this.#offset += end - (this.#carry?.prefix.length ?? 0);
    this.#carry = carry;
  }
}

/** @param {string} text */
const isSeen = (text) => text.trim() !== "";

/**
 * Whether `lines` end with a blank line below other text. A regular expression would be tried at each character.
 * @param {string} lines
 */
function endsBlank(lines) {
  const seen = lines.trimEnd();
  return seen !== "" && lines.indexOf("\n", seen.length) < lines.lastIndexOf("\n");
}

/**
 * @param {string} raw
 * @param {boolean} isFirst
 * @returns {Block}
 */
const plainBlock = (raw, isFirst) => ({ type: "block", token: { type: "plain", raw, isTooLarge: true, isFirst }, raw, carried: null });

/** @param {Token[]} tokens */
function lastBlock(tokens) {
  let index = tokens.length - 1;
  while (index > 0 && tokens[index].type === "space") index--;
  // If a formula is never closed, its lines may belong to the block before it.
  if (!tokens[index]?.isOpen) return Math.max(0, index);
  if (index > 0 && /^[ \t]+\n$/.test(tokens[index - 1].raw)) index--;
  if (index > 0 && tokens[index - 1].type !== "space") index--;
  return Math.max(0, index);
}
