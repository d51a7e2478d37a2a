// Markdown to DOM. Model output is hostile input: raw HTML is shown as text, links go to other
// sites in a new tab or nowhere, images become links (loading one would tell a stranger what is
// being read), and everything passes DOMPurify before it becomes nodes.
import { Lexer, Marked } from "../../../vendor/marked-18.2.1/marked.js";
import "../../../vendor/dompurify-3.4.18/purify.js";
import { text } from "../text.js";

const SAFE_LINK = /^(?:https?:\/\/|mailto:|tel:)/i;
const PLAIN_INLINE_TAG = /^<\/?(?:br|sub|sup|kbd|mark|u|b|i|em|strong|s|del|ins|small|wbr)\s*\/?>$/i;
const LINK_ATTRIBUTES = 'target="_blank" rel="noopener noreferrer nofollow"';
const SANITIZE = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "button", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "b", "u", "s", "ins", "mark", "small", "wbr", "input", "kbd", "li", "ol", "p", "pre", "span", "strong", "sub", "sup",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "target", "rel", "title", "class", "type", "checked", "disabled", "align", "start", "tabindex", "data-copy"],
  ALLOWED_URI_REGEXP: SAFE_LINK,
  // DOMPurify holds every attribute that is not named here to the pattern for addresses.
  ADD_URI_SAFE_ATTR: ["target", "rel", "type", "checked", "disabled", "align", "start", "tabindex", "data-copy"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};
// Beyond these the text is shown as it is: drawing it formatted again and again while it grows, or
// nesting it so deep, would keep the page busy for nothing a person could read.
const LONGEST_LINE_CHARS = 100_000;
const TOO_DEEP = /^[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*){24}|(?:[[(*_~`!]){48}/m;

const escapeHtml = (raw) =>
  raw.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

const renderer = {
  html({ text: raw, block }) {
    if (!block) return PLAIN_INLINE_TAG.test(raw) ? raw : escapeHtml(raw);
    return `<p class="md-raw">${escapeHtml(raw.trimEnd())}</p>`;
  },
  link({ href, title, tokens }) {
    const label = this.parser.parseInline(tokens);
    if (!SAFE_LINK.test(href)) return label;
    const hint = title ? ` title="${escapeHtml(title)}"` : "";
    return `<a href="${escapeHtml(href)}"${hint} ${LINK_ATTRIBUTES}>${label}</a>`;
  },
  image({ href, text: alt }) {
    const label = escapeHtml(text.image(alt));
    return SAFE_LINK.test(href) ? `<a href="${escapeHtml(href)}" ${LINK_ATTRIBUTES}>${label}</a>` : label;
  },
  code({ text: code, lang }) {
    return codeBlock(escapeHtml(code), escapeHtml((lang ?? "").trim().split(/\s+/)[0]));
  },
  table(token) {
    const row = (cells) => `<tr>${cells.map((cell) => this.tablecell(cell)).join("")}</tr>`;
    const body = token.rows.map(row).join("");
    return `<div class="md-table" tabindex="0"><table><thead>${row(token.header)}</thead><tbody>${body}</tbody></table></div>`;
  },
};
const marked = new Marked({ gfm: true, renderer });

function codeBlock(code, language) {
  const head = `<span class="code-language">${language || "text"}</span><button type="button" class="code-copy" data-copy="code">${text.copy}</button>`;
  return `<div class="code"><div class="code-head">${head}</div><pre tabindex="0"><code>${code}</code></pre></div>`;
}

/** Split markdown into its top-level blocks: tokens with `raw`, which together give the source. */
export function blocksOf(source, links = {}) {
  if (isTooMuch(source)) return [{ type: "plain", raw: source }];
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

/** The sanitised nodes of one block. */
export function renderBlock(token) {
  let dirty;
  try {
    dirty = token.type === "plain" ? plain(token.raw) : marked.parser([token]);
  } catch {
    dirty = plain(token.raw);
  }
  return globalThis.DOMPurify.sanitize(dirty, SANITIZE);
}

const plain = (raw) => `<p class="md-raw">${escapeHtml(raw)}</p>`;

function isTooMuch(source) {
  return TOO_DEEP.test(source) || longestLine(source) > LONGEST_LINE_CHARS;
}

function longestLine(source) {
  let longest = 0;
  let start = 0;
  for (let end = source.indexOf("\n"); end !== -1; end = source.indexOf("\n", start)) {
    longest = Math.max(longest, end - start);
    start = end + 1;
  }
  return Math.max(longest, source.length - start);
}
