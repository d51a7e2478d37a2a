// marked's lexer with bounds: text that is nested too deep, too long or too complex to be formatted
// quickly stays plain, as a token of the type `plain`. The decision depends on this text alone, so it
// does not depend on how an answer arrived. It never applies to code.
import { Lexer, Tokenizer } from "../../../../vendor/marked-18.2.1/marked.js";
import { withBreaks } from "./line_breaks.js";
import { Places } from "./places.js";

/** @typedef {import("../../../../vendor/marked-18.2.1/marked.js").Tokens.Generic} Token */
/** @typedef {"nothing" | "blocks" | "everything"} Growing */

const DEEPEST = 24;
// A paragraph is cut before it is this long (./cuts.js); headings, quotes and cells are not.
const LONGEST_INLINE_CHARS = 10_000;
// Marks that may open or close emphasis or a link. Pairing them takes quadratic time.
const MARK = /\*+|_+|~+|[[!]/g;
const MOST_MARKS = 1_000;
const MAY_BE_EMPHASIS = /[*_~]/;

export class BoundedLexer extends Lexer {
  /**
   * The current paragraph, cell or mark, and the pairs of its marks once they are known.
   * @type {{source: string, pairs: import("./emphasis.js").Pairs | null, places: Places}}
   */
  reading = { source: "", pairs: null, places: new Places() };
  /** Positions found in the blocks that are being read. */
  blockPlaces = new Places();
  #depth = 0;
  #growing;
  /** @type {Tokenizer | undefined} */
  #unmarked;

  /**
   * `links`: the link definitions by name, to which those of this text are added.
   * `growing`: the parts that may still continue at the end: "nothing", "blocks" of the top level, or "everything".
   * @param {import("../../../../vendor/marked-18.2.1/marked.js").MarkedOptions} options
   * @param {{links: import("./links.js").Links, growing?: Growing}} bounds
   */
  constructor(options, { links, growing = "nothing" }) {
    super(options);
    this.tokens.links = links;
    this.#growing = growing;
  }

  /**
   * The index of `pattern` in `rest`, the rest of the inline text that is being read; or undefined.
   * @param {string | RegExp} pattern
   * @param {string} rest
   */
  nextInLine(pattern, rest) {
    const { source, places } = this.reading;
    const from = source.length - rest.length;
    const index = places.next(pattern, source, from);
    return index < 0 ? undefined : index - from;
  }

  /** Whether an unclosed block may still be closed. */
  blockMayGrow() {
    return this.#growing === "everything" || (this.#growing === "blocks" && this.#depth === 1);
  }

  /** Whether unclosed marks within a paragraph may still be closed. */
  lineMayGrow() {
    return this.#growing === "everything";
  }

  /**
   * @param {string} source
   * @param {any} tokens
   * @returns {any} the tokens
   */
  blockTokens(source, tokens = [], isAfterParagraph = false) {
    if (this.#depth >= DEEPEST) return plain(source, tokens);
    const outer = this.blockPlaces;
    this.blockPlaces = new Places();
    try {
      return this.#deeper(() => super.blockTokens(source, tokens, isAfterParagraph));
    } finally {
      this.blockPlaces = outer;
    }
  }

  /**
   * `pairs`: the pairs of the marks in `source`, if they are known from the text around it.
   * @param {string} source
   * @param {any[]} tokens
   * @param {import("./emphasis.js").Pairs | null} pairs
   * @returns {any[]}
   */
  inlineTokens(source, tokens = [], pairs = null) {
    if (this.#depth >= DEEPEST || isTooMuch(source)) return plain(source, tokens);
    const outer = this.reading;
    const lexer = withTokenizer(this);
    const { tokenizer } = lexer;
    this.reading = { source, pairs, places: new Places() };
    if (!MAY_BE_EMPHASIS.test(source)) lexer.tokenizer = this.#forUnmarked(tokenizer);
    try {
      this.#deeper(() => super.inlineTokens(source, tokens));
      if (source.includes("\n")) tokens.splice(0, tokens.length, ...withBreaks(tokens));
      return tokens;
    } finally {
      this.reading = outer;
      lexer.tokenizer = tokenizer;
    }
  }

  /**
   * The tokenizer for text without marks of emphasis. It has marked's own methods, with which marked skips masking.
   * @param {Tokenizer} tokenizer
   */
  #forUnmarked(tokenizer) {
    const { emStrong, del } = Tokenizer.prototype;
    return (this.#unmarked ??= Object.assign(Object.create(tokenizer), { emStrong, del }));
  }

  /**
   * @template T
   * @param {() => T} read
   */
  #deeper(read) {
    this.#depth += 1;
    try {
      return read();
    } finally {
      this.#depth -= 1;
    }
  }
}

/**
 * `lexer` with the property that marked's types declare private.
 * @param {object} lexer
 */
const withTokenizer = (lexer) => /** @type {{tokenizer: Tokenizer}} */ (lexer);

/**
 * @param {string} source
 * @param {any[]} tokens
 */
function plain(source, tokens) {
  if (source) tokens.push({ type: "plain", raw: source });
  return tokens;
}

/** @param {string} source */
const isTooMuch = (source) => source.length > LONGEST_INLINE_CHARS || (source.match(MARK)?.length ?? 0) > MOST_MARKS;
