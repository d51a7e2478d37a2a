// Footnotes in markdown: `[^1]` in the text, `[^1]: its text` as a block. Pure.
import { blockStart } from "./block_start.js";

const REFERENCE = /^\[\^([^\]\s^]{1,60})\]/;
// The text of a footnote continues over lines that begin no other block, and over indented paragraphs.
const DEFINITION =
  /^ {0,3}\[\^([^\]\s^]{1,60})\]:[ \t]*([^\n]*(?:\n(?![ \t]*(?:\n|$)| {0,3}(?:\[\^[^\]\s^]+\]:|#{1,6} |>|[-*+] |\d+[.)] |`{3}|~{3}|\|))[^\n]+)*(?:\n(?:[ \t]*\n)*(?: {4}|\t)[^\n]+)*)(?:\n|$)/;

const DEFINITION_START = /\n {0,3}\[\^[^\]\s^]+\]:/;

const definition = {
  name: "footnote",
  level: "block",
  /**
   * @this {{lexer: import("./block_start.js").BlockLexer}}
   * @param {string} source
   */
  start(source) {
    return blockStart(this.lexer, source, DEFINITION_START);
  },
  /**
   * @this {{lexer: {blockTokens(source: string, tokens: object[]): unknown}}}
   * @param {string} source
   */
  tokenizer(source) {
    const match = DEFINITION.exec(source);
    if (!match) return undefined;
    const token = { type: "footnote", raw: match[0], label: match[1], tokens: /** @type {object[]} */ ([]) };
    this.lexer.blockTokens(match[2].replace(/^(?: {4}|\t)/gm, ""), token.tokens);
    return token;
  },
};

const reference = {
  name: "footnoteRef",
  level: "inline",
  /**
   * @this {{lexer: import("./math_syntax.js").InlineLexer}}
   * @param {string} source
   */
  start(source) {
    return this.lexer.nextInLine("[^", source);
  },
  /** @param {string} source */
  tokenizer(source) {
    const match = REFERENCE.exec(source);
    return match ? { type: "footnoteRef", raw: match[0], label: match[1] } : undefined;
  },
};

export const footnoteExtensions = [definition, reference];
