// Sanitises HTML made from a model's text before it becomes nodes: only these tags, attributes and URLs
// pass. Math, code and buttons are built as nodes afterwards.
import "../../../vendor/dompurify-3.4.18/purify.js";
import { SAFE_LINK } from "./html.js";

const DATA = ["data-language", "data-note"];
const OPTIONS = {
  ALLOWED_TAGS: [
    "a", "b", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "input", "ins", "kbd", "li", "mark", "ol", "p", "pre", "s", "small", "span", "strong", "sub", "sup",
    "table", "tbody", "td", "th", "thead", "tr", "u", "ul", "wbr",
  ],
  ALLOWED_ATTR: ["href", "target", "rel", "title", "class", "type", "checked", "disabled", "align", "start", "tabindex", "colspan", ...DATA],
  ALLOWED_URI_REGEXP: SAFE_LINK,
  // DOMPurify checks every attribute that is not named here against the pattern for URLs.
  ADD_URI_SAFE_ATTR: ["target", "rel", "type", "checked", "disabled", "align", "start", "tabindex", "colspan", ...DATA],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

export const sanitized = (html) => globalThis.DOMPurify.sanitize(html, OPTIONS);
