// The characters of scripts that are written without spaces between words. Marks of emphasis and URLs
// beside them have no spaces around them either. Pure.

// East Asian wide, fullwidth and halfwidth characters and Hangul, as the CJK-friendly amendments to
// CommonMark define them (https://github.com/tats-u/markdown-cjk-friendly, specification.md).
const CJK =
  "\\u1100-\\u11FF\\u20A9\\u2329\\u232A\\u2630-\\u2637\\u268A-\\u268F\\u2E80-\\u303E\\u3041-\\uA4CF\\uA960-\\uA97F\\uAC00-\\uD7FF"
  + "\\uF900-\\uFAFF\\uFE10-\\uFE1F\\uFE30-\\uFE6F\\uFF01-\\uFFEE\\u{16FE0}-\\u{18DFF}\\u{1AFF0}-\\u{1B2FF}\\u{1D300}-\\u{1D376}"
  + "\\u{1F200}-\\u{1F265}\\u{20000}-\\u{3FFFD}";
const OTHERS = ["Thai", "Lao", "Khmer", "Myanmar", "Tibetan"].map((script) => `\\p{Script=${script}}`).join("");

/** The source of a regular expression with the flag "u" that matches one such character. */
export const SPACELESS = `(?!\\p{Emoji_Presentation})[${CJK}${OTHERS}]`;
