// Renders markdown tokens as HTML text. Model output is hostile input: raw HTML is shown as text, links
// open other sites in a new tab or are removed, and images become links, because loading one would tell
// another site what is being read. The HTML must still pass ./sanitize.js. Pure.
import { Marked, Tokenizer } from "../../../vendor/marked-18.2.1/marked.js";
import { text } from "../text.js";
import { addressStart, url } from "./syntax/addresses.js";
import { BoundedLexer } from "./syntax/bounded_lexer.js";
import { hasRoomFor, linksWith } from "./syntax/links.js";
import { pairsIn, pairsWithin } from "./syntax/emphasis.js";
import { footnoteExtensions } from "./syntax/footnote_syntax.js";
import { ENVIRONMENT } from "./syntax/math_environments.js";
import { beforeFormula, lateStart } from "./syntax/math_blocks.js";
import { mathExtensions } from "./syntax/math_syntax.js";
import { beginsTable, fewRows, withBarsEscaped } from "./syntax/table_math.js";

export const SAFE_LINK = /^(?:https?:\/\/|mailto:)/i;
const PLAIN_INLINE_TAG = /^<\/?(?:br|sub|sup|kbd|mark|u|b|i|em|strong|s|del|ins|small|wbr)\s*\/?>$/i;
const LINK_ATTRIBUTES = 'target="_blank" rel="noopener noreferrer nofollow"';
const LONGEST_HINT_CHARS = 80;
/** The most empty cells at the end of a row; more of them are drawn as one. */
const MOST_EMPTY_CELLS = 8;
const TURNS_OR_BREAKS = /[\p{Bidi_Control}\p{Cc}\u2028\u2029]+/gu;

/** @typedef {import("./syntax/bounded_lexer.js").Token} Token */
/** @typedef {import("./notes.js").Notes} Notes */
/** @typedef {import("../../../vendor/marked-18.2.1/marked.js").RendererThis} RendererThis */
/** @typedef {import("../../../vendor/marked-18.2.1/marked.js").Tokenizer & {lexer: BoundedLexer}} TokenizerThis */

/** @type {Notes | null} the footnotes of the answer that is being rendered */
let current = null;

/** @param {string} raw */
export const escapeHtml = (raw) => raw.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

/** @type {import("../../../vendor/marked-18.2.1/marked.js").RendererObject} */
const renderer = {
  html({ text: raw, block }) {
    if (!block) return PLAIN_INLINE_TAG.test(raw) ? raw : escapeHtml(raw).replaceAll("\n", "<br>");
    return `<p class="md-raw">${escapeHtml(raw.trimEnd())}</p>`;
  },
  link({ href, title, tokens }) {
    const label = this.parser.parseInline(tokens);
    if (!SAFE_LINK.test(href)) return label;
    return `<a href="${escapeHtml(href)}" title="${escapeHtml(hintOf(href, title))}" ${LINK_ATTRIBUTES}>${label}</a>`;
  },
  image({ href, text: alt }) {
    const label = escapeHtml(text.image(alt));
    if (!SAFE_LINK.test(href)) return label;
    return `<a class="md-image" href="${escapeHtml(href)}" title="${escapeHtml(hintOf(href))}" ${LINK_ATTRIBUTES}>${label}</a>`;
  },
  code({ text: code, lang }) {
    return `<pre data-language="${escapeHtml(languageOf(lang))}"><code>${escapeHtml(code)}</code></pre>`;
  },
  table(token) {
    /** @param {import("../../../vendor/marked-18.2.1/marked.js").Tokens.TableCell[]} cells */
    const row = (cells) => {
      const filled = cells.findLastIndex((cell) => cell.text) + 1;
      const empty = cells.length - filled;
      const drawn = empty > MOST_EMPTY_CELLS ? cells.slice(0, filled) : cells;
      const rest = drawn === cells ? "" : `<td colspan="${empty}"></td>`;
      // marked ends a cell with a line break, which would be a text node of its own.
      return `<tr>${drawn.map((cell) => this.tablecell(cell).trimEnd()).join("")}${rest}</tr>`;
    };
    const body = token.rows.map(row).join("");
    return `<div class="md-table"><table><thead>${row(token.header)}</thead><tbody>${body}</tbody></table></div>`;
  },
};

/** @type {Record<string, (this: RendererThis, token: Token) => string>} */
const extensionRenderers = {
  plain: ({ raw }) => `<span class="md-raw">${escapeHtml(raw)}</span>`,
  math: ({ text: tex, isDisplay }) => `<span class="${isDisplay ? "math math-display" : "math"}">${escapeHtml(tex)}</span>`,
  mathBlock: ({ text: tex, raw }) => (tex === null ? plainHtml(raw) : `<div class="math math-display">${escapeHtml(tex)}</div>`),
  footnoteRef({ label, raw }) {
    const number = current?.refer(label) ?? null;
    return number === null ? escapeHtml(raw) : `<sup class="note-ref" data-note="${escapeHtml(label)}">${number}</sup>`;
  },
  footnote({ label, tokens }) {
    return `<div class="note" data-note="${escapeHtml(label)}">${this.parser.parse(tokens ?? [])}</div>`;
  },
};

/** @type {any[]} The tokenizers of these extensions expect a BoundedLexer. */
const extensions = [...mathExtensions, ...footnoteExtensions, addressStart, { name: "plain" }].map((extension) => ({
  ...extension,
  ...(extension.name in extensionRenderers && { renderer: extensionRenderers[extension.name] }),
  ...(extension.name === "footnote" && { childTokens: ["tokens"] }),
}));
const LONGEST_HEADING_CHARS = 1_000;
const UNDERLINE = /\n {0,3}(?:=+|-+) *(?:\n|$)/g;
const OWN_BLOCK = new RegExp(`\\n {0,3}(?:\\$\\$|\\\\\\[|${ENVIRONMENT}|\\[\\^[^\\]\\s^]+\\]:)`);
// A line with more marks of quotes and lists, or a table with more columns, is not parsed as markdown.
const TOO_DEEP = /^[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*){24}/;
const TOO_WIDE = /^(?:[^|\n]*\|){102}/;
const IS_ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])[ \t]/;
const tokenizer = {
  /** @param {string} source */
  blockquote: (source) => (TOO_DEEP.test(source) ? undefined : false),
  /**
   * @this {TokenizerThis}
   * @param {string} source
   */
  list(source) {
    if (TOO_DEEP.test(source)) return undefined;
    const list = IS_ITEM.test(source) ? beforeFormula(this.lexer, source, { isList: true }) : source;
    return list === source ? false : Tokenizer.prototype.list.call(this, list);
  },
  /**
   * @this {TokenizerThis}
   * @param {string} source
   */
  def(source) {
    const token = Tokenizer.prototype.def.call(this, source);
    return token && hasRoomFor(this.lexer.tokens.links, token.tag) ? token : undefined;
  },
  /**
   * @this {TokenizerThis}
   * @param {string} source
   */
  table(source) {
    if (TOO_WIDE.test(source) || !beginsTable(source)) return undefined;
    const table = withBarsEscaped(fewRows(beforeFormula(this.lexer, source, { isList: false })));
    const token = Tokenizer.prototype.table.call(this, table);
    if (token) token.raw = source.split("\n", token.raw.split("\n").length).join("\n");
    return token;
  },
  // An underlined heading may have several lines, but must not contain a block of our own syntax, nor so many
  // lines that searching for its end from each of them takes long.
  /**
   * @this {TokenizerThis}
   * @param {string} source
   */
  lheading(source) {
    const underline = this.lexer.blockPlaces.next(UNDERLINE, source);
    if (underline < 0 || underline > LONGEST_HEADING_CHARS) return undefined;
    const head = source.slice(0, LONGEST_HEADING_CHARS);
    const own = head.search(OWN_BLOCK);
    const lines = own < 0 ? head : head.slice(0, own + 1);
    const late = lateStart(this.lexer, lines, source);
    return this.rules.block.lheading.test(late < 0 ? lines : lines.slice(0, late)) ? false : undefined;
  },
  /**
   * @this {TokenizerThis}
   * @param {string} source
   * @param {string} masked
   */
  emStrong(source, masked) {
    const span = /^[*_]/.test(source) && markedText(this.lexer, source, masked);
    return span ? { type: span.size === 1 ? "em" : "strong", ...span } : undefined;
  },
  /**
   * @this {TokenizerThis}
   * @param {string} source
   * @param {string} masked
   */
  del(source, masked) {
    const span = source[0] === "~" && markedText(this.lexer, source, masked);
    return span ? { type: "del", ...span } : undefined;
  },
  url,
};

/**
 * The text between the marks at the start of `source`, as parts of a token; undefined if the marks are text.
 * @param {BoundedLexer} lexer
 * @param {string} source
 * @param {string} masked
 */
function markedText(lexer, source, masked) {
  const { reading } = lexer;
  reading.pairs ??= pairsIn(reading.source, masked);
  const start = masked.length - source.length;
  const pair = reading.pairs.get(start);
  if (!pair) return undefined;
  const raw = source.slice(0, pair.end - start);
  const inner = raw.slice(pair.size, -pair.size);
  return { raw, size: pair.size, text: inner, tokens: lexer.inlineTokens(inner, [], pairsWithin(reading.pairs, start, pair)) };
}

const marked = new Marked({ gfm: true, renderer, tokenizer: /** @type {any} */ (tokenizer), extensions });

/** @param {string | undefined} info */
export const languageOf = (info) => (info ?? "").trim().split(/[\s,{]/)[0].slice(0, 40);

/**
 * The title of a link: first its address, then a short form of the title in the text.
 * @param {string} href
 * @param {string | null} [title]
 */
function hintOf(href, title) {
  const place = href.toLowerCase().startsWith("mailto:") ? href.slice(7).split("?")[0] : hostOf(href);
  const [where, said] = [place, title ?? ""].map((part) => part.replace(TURNS_OR_BREAKS, " ").trim());
  return said ? `${where} – ${shortened(said)}` : where;
}

/** @param {string} said */
function shortened(said) {
  const characters = [...said.slice(0, 2 * LONGEST_HINT_CHARS + 2)];
  return characters.length > LONGEST_HINT_CHARS ? `${characters.slice(0, LONGEST_HINT_CHARS).join("")}…` : said;
}

/** @param {string} href */
function hostOf(href) {
  try {
    return new URL(href).host;
  } catch {
    return href;
  }
}

/**
 * Splits markdown into its top-level blocks: tokens whose `raw` texts together are the source.
 * `growing`: see BoundedLexer.
 * @param {string} source
 * @param {import("./syntax/links.js").Links} links
 * @param {import("./syntax/bounded_lexer.js").Growing} growing
 * @returns {Token[]}
 */
export function blocksOf(source, links = linksWith(), growing = "nothing") {
  try {
    return new BoundedLexer(marked.defaults, { links, growing }).lex(source);
  } catch {
    return [{ type: "plain", raw: source }];
  }
}

/** A block with more tags takes too long to draw. */
const MOST_MARKS = 4_000;

/**
 * The HTML of one block. `notes` are the footnotes of the answer, with their numbers.
 * @param {Token} token
 * @param {Notes | null} notes
 */
export function htmlOf(token, notes = null) {
  if (token.type === "plain") return token.isTooLarge ? tooLargeHtml(token.raw, token.isFirst) : plainHtml(token.raw);
  current = notes;
  try {
    const html = marked.parser(/** @type {any} */ ([token]));
    return html.split("<", MOST_MARKS + 1).length > MOST_MARKS ? tooLargeHtml(token.raw, true) : html;
  } catch {
    return plainHtml(token.raw);
  } finally {
    current = null;
  }
}

/**
 * A token for a piece of a paragraph that is formatted like the rest of it.
 * @param {string} raw
 * @param {import("./syntax/links.js").Links} links
 * @returns {Token}
 */
export function paragraphOf(raw, links) {
  const lexer = new BoundedLexer(marked.defaults, { links });
  return { type: "paragraph", raw, text: raw, tokens: lexer.inlineTokens(raw.trim(), []) };
}

/**
 * `isFirst`: whether this is the first piece of the block.
 * @param {string} raw
 * @param {boolean} isFirst
 */
const tooLargeHtml = (raw, isFirst) => `${isFirst ? `<p class="md-too-large">${escapeHtml(text.tooLarge)}</p>` : ""}${plainHtml(raw)}`;

/** @param {string} raw */
const plainHtml = (raw) => `<p class="md-raw">${escapeHtml(raw.trimEnd())}</p>`;
