// Markdown as plain text: what a page holds of a message that is far away (so that the browser's
// own search finds it), and what is read out. Rough but quick, also on what somebody makes up: no
// rule goes back over more than a bounded part of a line. Pure. (The server: chat/plain_text.py.)

const RULES = [
  [/^ {0,3}(?:`{3,}|~{3,})[^\n]*$/gm, ""],
  [/^ {0,3}\|?(?: *:?-{2,}:? *\|)+(?: *:?-{2,}:? *)?$/gm, ""],
  [/!?\[([^[\]\n]*)\]\([^()\n]*\)/g, "$1"],
  [/\[\^[^[\]\s]+\]:?/g, ""],
  [/^ {0,3}#{1,6} +/gm, ""],
  [/^ {0,3}> ?/gm, ""],
  [/(\*\*|__)(?=\S)([^\n]{0,300}?\S)\1/g, "$2"],
  [/(?:(?<![0-9])~~|~~(?![0-9]))(?=\S)([^\n]{0,300}?\S)~~/g, "$1"],
  [/^( {0,12}[-*+]) \[[ xX]\] /gm, "$1 "],
  [/(?<![\w*])\*(?=\S)([^*\n]*?\S)\*(?![\w*])/g, "$1"],
  [/(?<!`)`+([^`\n]+)`+/g, "$1"],
  [/\\([!-/:-@[-`{-~])/g, "$1"],
];

export function plainText(markdown) {
  return RULES.reduce((text, [pattern, put]) => text.replace(pattern, put), markdown);
}

/** About how many pixels high a message will be, before it was ever drawn. */
export function roughHeight(markdown, charsPerLine = 85) {
  let lines = 0;
  for (const line of markdown.split("\n")) lines += Math.max(line ? 1 : 0.4, Math.ceil(line.length / charsPerLine));
  return Math.round(lines * 26 + 70);
}
