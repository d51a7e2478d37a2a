// Bare URLs in the text. They end where a script without spaces continues, before punctuation of any
// script, and before characters that no URL contains (quotes, `**`). Angle brackets allow more. Pure.
import { SPACELESS } from "./scripts.js";

const LONGEST_CHARS = 2_000;
const ASCII = "[!#-;=?-\\[\\]^_a-{|}~]"; // not " < > \ `
const OTHER_LETTER = `(?!${SPACELESS})(?![\\0-\\x7F])[\\p{L}\\p{M}\\p{N}]`;
const ADDRESS = new RegExp(`^(?:(?:https?|ftp)://|www\\.)(?=[A-Za-z0-9\\[])(?:(?!\\*\\*)${ASCII}|${OTHER_LETTER})+`, "iu");
const TRAILING = /[?!.,:;*_'~|]/;
/** @type {Record<string, string>} */
const BRACKETS = { ")": "(", "]": "[", "}": "{" };
const ENTITY = /&[A-Za-z0-9]{1,32};$/;

/**
 * The URL at the start of `source`, or "".
 * @param {string} source
 */
export function addressAt(source) {
  let address = ADDRESS.exec(source.slice(0, LONGEST_CHARS))?.[0] ?? "";
  /** @type {Record<string, number>} */
  const open = {};
  for (const [closing, opening] of Object.entries(BRACKETS)) open[closing] = count(address, closing) - count(address, opening);
  for (let last = address.at(-1); last; last = address.at(-1)) {
    const entity = last === ";" && ENTITY.exec(address.slice(-34))?.[0].length;
    if (open[last] > 0) open[last] -= 1;
    else if (!TRAILING.test(last)) break;
    address = address.slice(0, -(entity || 1));
  }
  return address;
}

/** Finds "www." after a script without spaces, which marked does not. */
const SPACELESS_WWW = new RegExp(`(?<=${SPACELESS})[wW]{3}\\.`, "gu");

export const addressStart = {
  name: "address",
  level: "inline",
  /**
   * @this {{lexer: import("./math_syntax.js").InlineLexer}}
   * @param {string} source
   */
  start(source) {
    return this.lexer.nextInLine(SPACELESS_WWW, source);
  },
  tokenizer: () => undefined,
};

/**
 * Replaces marked's own tokenizer.
 * @param {string} source
 */
export function url(source) {
  if (!/^(?:https?:|ftp:|www\.)/i.test(source)) return false;
  const address = addressAt(source);
  if (/^(?:[a-z]+:\/\/|www\.)?$/i.test(address)) return undefined;
  const href = /^www\./i.test(address) ? `http://${address}` : address;
  const label = { type: "text", raw: address, text: address };
  return { ...label, type: "link", href, autolink: true, tokens: [label] };
}

/**
 * @param {string} text
 * @param {string} character
 */
const count = (text, character) => text.split(character).length - 1;
