// Markdown tokens to HTML text. Model output is hostile input: raw HTML is shown as text, links go
// to other sites in a new tab or nowhere, images become links (loading one would tell a stranger
// what is being read). What is made here still has to pass ./sanitize.js. Pure.
import { Lexer, Marked } from "../../../vendor/marked-18.2.1/marked.js";
import { text } from "../text.js";
import { footnoteExtensions } from "./footnote_syntax.js";
import { mathExtensions } from "./math_syntax.js";

export const SAFE_LINK = /^(?:https?:\/\/|mailto:)/i;
const PLAIN_INLINE_TAG = /^<\/?(?:br|sub|sup|kbd|mark|u|b|i|em|strong|s|del|ins|small|wbr)\s*\/?>$/i;
const LINK_ATTRIBUTES = 'target="_blank" rel="noopener noreferrer nofollow"';
// Beyond these the text is shown as it is: drawing it formatted again and again while it grows, or
// nesting it so deep, would keep the page busy for nothing a person could read.
const LONGEST_LINE_CHARS = 100_000;
const TOO_DEEP = /^[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*){24}|(?:[[(*_~`!]){48}/m;

/** What the renderer asks while it works: the footnotes of the answer whose block this is. */
let current = null;

export const escapeHtml = (raw) => raw.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

const renderer = {
  html({ text: raw, block }) {
    if (!block) return PLAIN_INLINE_TAG.test(raw) ? raw : escapeHtml(raw);
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
    const row = (cells) => `<tr>${cells.map((cell) => this.tablecell(cell)).join("")}</tr>`;
    const body = token.rows.map(row).join("");
    return `<div class="md-table"><table><thead>${row(token.header)}</thead><tbody>${body}</tbody></table></div>`;
  },
};

const extensionRenderers = {
  math: ({ text: tex, isDisplay }) => `<span class="${isDisplay ? "math math-display" : "math"}">${escapeHtml(tex)}</span>`,
  mathBlock: ({ text: tex, raw }) => (tex === null ? plainHtml(raw) : `<div class="math math-display">${escapeHtml(tex)}</div>`),
  footnoteRef({ label, raw }) {
    const number = current?.refer(label) ?? null;
    return number === null ? escapeHtml(raw) : `<sup class="note-ref" data-note="${escapeHtml(label)}">${number}</sup>`;
  },
  footnote({ label, tokens }) {
    return `<div class="note" data-note="${escapeHtml(label)}">${this.parser.parse(tokens)}</div>`;
  },
};

const extensions = [...mathExtensions, ...footnoteExtensions].map((extension) => ({
  ...extension,
  renderer: extensionRenderers[extension.name],
  ...(extension.name === "footnote" && { childTokens: ["tokens"] }),
}));
const OWN_BLOCK = /\n {0,3}(?:\$\$|\\\[|\[\^[^\]\s^]+\]:)/;
const tokenizer = {
  // An underlined heading reaches back over lines; not over a block that only we know of.
  lheading(source) {
    const match = this.rules.block.lheading.exec(source);
    return match && OWN_BLOCK.test(match[0]) ? undefined : false;
  },
};
const marked = new Marked({ gfm: true, renderer, tokenizer, extensions });

export const languageOf = (info) => (info ?? "").trim().split(/[\s,{]/)[0].slice(0, 40);

/** Where a link leads, for who points at it. */
function hintOf(href, title) {
  const place = href.toLowerCase().startsWith("mailto:") ? href.slice(7).split("?")[0] : hostOf(href);
  return title ? `${title} (${place})` : place;
}

function hostOf(href) {
  try {
    return new URL(href).host;
  } catch {
    return href;
  }
}

/** Split markdown into its top-level blocks: tokens with `raw`, which together give the source. */
export function blocksOf(source, links = {}) {
  const deep = tooMuchIn(source);
  if (!deep) return lexed(source, links);
  const plain = [{ type: "plain", raw: source.slice(deep.from, deep.to) }];
  const before = deep.from ? lexed(source.slice(0, deep.from), links) : [];
  return [...before, ...plain, ...(deep.to < source.length ? blocksOf(source.slice(deep.to), links) : [])];
}

function lexed(source, links) {
  try {
    const lexer = new Lexer(marked.defaults);
    Object.assign(lexer.tokens.links, links);
    const tokens = lexer.lex(source);
    Object.assign(links, tokens.links);
    return tokens;
  } catch {
    return [{ type: "plain", raw: source }];
  }
}

/** The HTML of one block. `notes`: the footnotes of the answer, asked for their numbers. */
export function htmlOf(token, notes = null) {
  if (token.type === "plain") return plainHtml(token.raw);
  current = notes;
  try {
    return marked.parser([token]);
  } catch {
    return plainHtml(token.raw);
  } finally {
    current = null;
  }
}

/** A token for a piece of a paragraph, formatted like the rest of it. */
export function paragraphOf(raw, links) {
  const lexer = new Lexer(marked.defaults);
  Object.assign(lexer.tokens.links, links);
  return { type: "paragraph", raw, text: raw, tokens: lexer.inlineTokens(raw.trim(), []) };
}

const plainHtml = (raw) => `<p class="md-raw">${escapeHtml(raw.trimEnd())}</p>`;

/** The part between blank lines that is nested too deep or too long to be formatted: {from, to}. */
function tooMuchIn(source) {
  const at = source.search(TOO_DEEP);
  const index = at >= 0 ? at : longLineIn(source);
  if (index < 0) return null;
  const before = source.lastIndexOf("\n\n", index);
  const after = source.indexOf("\n\n", index);
  return { from: before < 0 ? 0 : before + 2, to: after < 0 ? source.length : after + 2 };
}

function longLineIn(source) {
  let start = 0;
  for (let end = source.indexOf("\n"); end !== -1; end = source.indexOf("\n", start)) {
    if (end - start > LONGEST_LINE_CHARS) return start;
    start = end + 1;
  }
  return source.length - start > LONGEST_LINE_CHARS ? start : -1;
}
