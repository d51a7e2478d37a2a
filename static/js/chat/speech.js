// Text for a screen reader while an answer is written: each whole sentence once; code, tables and formulas
// are only named. Pure.
import { environmentAt } from "./markdown/syntax/math_environments.js";
import { mathAt } from "./markdown/syntax/math_syntax.js";
import { isProse } from "./markdown/syntax/prose.js";
import { plainText } from "./lib/plain_text.js";
import { text } from "./text.js";

const SENTENCE = /[^]*?(?:[.!?…:。！？]["')\]»”*_]*(?=\s)|\n)/y;
const MAY_BE_BLOCK = /^\s*(?:[`~|$]|\\\[|\\begin\{)/;
/** @type {Record<string, string>} */
const CLOSING = { $$: "$$", "\\[": "\\]" };
const TASK = /^\s*[-*+] \[([ xX])\] /;
// A longer sentence keeps its formulas as they are written.
const LONGEST_CHARS = 2_000;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;

export class Speech {
  #offset = 0;
  /** @type {string | null} */
  #fence = null;
  #isInTable = false;
  /** @type {string | null} the mark that closes the formula */
  #math = null;
  #isPastBlank = false; // whether the formula has contained a blank line

  /**
   * The sentences of `source` that are complete and were not returned before; with `isDone`, all of the rest.
   * @param {string} source
   * @param {boolean} isDone
   */
  take(source, isDone) {
    /** @type {string[]} */
    const sentences = [];
    while (this.#offset < source.length) {
      SENTENCE.lastIndex = this.#offset;
      const match = SENTENCE.exec(source);
      if (!match && !isDone) break;
      const piece = match ? match[0] : source.slice(this.#offset);
      const isLineStart = this.#offset === 0 || source[this.#offset - 1] === "\n";
      // The line may be a fence or a table row, which is certain only when the line is complete.
      if (isLineStart && !piece.endsWith("\n") && !isDone && MAY_BE_BLOCK.test(piece)) {
        if (!source.includes("\n", this.#offset)) break;
        this.#say(sentences, this.#line(source));
        continue;
      }
      this.#offset += piece.length;
      this.#say(sentences, { piece, isLineStart });
    }
    return sentences;
  }

  /** @param {string} source */
  #line(source) {
    const end = source.indexOf("\n", this.#offset) + 1;
    const piece = source.slice(this.#offset, end);
    this.#offset = end;
    return { piece, isLineStart: true };
  }

  /**
   * @param {string[]} sentences
   * @param {{piece: string, isLineStart: boolean}} next
   */
  #say(sentences, { piece, isLineStart }) {
    const words = this.#wordsOf(piece, isLineStart);
    if (words && /[\p{L}\p{N}]/u.test(words)) sentences.push(words);
  }

  /**
   * @param {string} piece
   * @param {boolean} isLineStart
   */
  #wordsOf(piece, isLineStart) {
    if (isLineStart) {
      const fence = FENCE.exec(piece)?.[1];
      if (this.#fence) {
        if (fence?.startsWith(this.#fence)) this.#fence = null;
        return "";
      }
      if (fence) {
        this.#fence = fence;
        return text.spokenCode;
      }
      const isRow = !this.#math && /^\s*\|/.test(piece);
      const isFirstRow = isRow && !this.#isInTable;
      this.#isInTable = isRow;
      if (isRow) return isFirstRow ? text.spokenTable : "";
    }
    if (this.#fence || this.#isInTable) return "";
    const formula = this.#formula(piece, isLineStart);
    if (formula !== null) return formula;
    return wordsOfProse(piece, isLineStart ? TASK.exec(piece) : null);
  }

  /**
   * The words for the formula that `piece` belongs to; null if it belongs to none.
   * @param {string} piece
   * @param {boolean} isLineStart
   */
  #formula(piece, isLineStart) {
    const line = piece.trim();
    if (this.#math) {
      if (line.endsWith(this.#math)) {
        this.#math = null;
        return "";
      }
      if (!line) this.#isPastBlank = true;
      // As in the drawn text, prose after a blank line means that the formula is never closed.
      if (!line || !this.#isPastBlank || !isProse(piece)) return "";
      this.#math = null;
    }
    const mark = isLineStart ? line.slice(0, 2) : "";
    const name = isLineStart && environmentAt(line);
    if (!(mark in CLOSING) && !name) return null;
    const closing = name ? `\\end{${name}}` : CLOSING[mark];
    this.#math = line.slice(2).endsWith(closing) ? null : closing;
    this.#isPastBlank = false;
    return text.spokenMath;
  }
}

/**
 * @param {string} piece
 * @param {RegExpExecArray | null} box the mark of a task at its start
 */
function wordsOfProse(piece, box) {
  const state = box ? `${box[1] === " " ? text.taskOpen : text.taskDone}: ` : "";
  const words = withNamedFormulas(box ? piece.slice(box[0].length) : piece);
  return state + plainText(words).replace(/^\s*[-*+] /, "").replace(/\s+/g, " ").trim();
}

/**
 * The sentence with a word in the place of each formula within it. Code stays as it is.
 * @param {string} sentence
 */
function withNamedFormulas(sentence) {
  if (sentence.length > LONGEST_CHARS || !/[$\\]/.test(sentence)) return sentence;
  let named = "";
  for (let at = 0; at < sentence.length; ) {
    const code = sentence[at] === "`" ? /^(`+)[^`]+\1/.exec(sentence.slice(at))?.[0] : undefined;
    const formula = "$\\".includes(sentence[at]) ? mathAt(sentence.slice(at), sentence.slice(Math.max(0, at - 1), at)) : undefined;
    named += formula ? text.spokenFormula : code ?? sentence[at];
    at += formula ? formula.raw.length : (code?.length ?? 1);
  }
  return named;
}
