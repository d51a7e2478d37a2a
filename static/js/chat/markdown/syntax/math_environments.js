// The LaTeX environments that are formulas by themselves. Pure.

const OF_LINES = "equation|align|gather|multline|eqnarray|flalign|alignat|displaymath|CD";
const WITHIN = "aligned|alignedat|gathered|split|cases|dcases|rcases|drcases|array|subarray|(?:[pbBvV]|small)?matrix";

const OPENING = new RegExp(`^\\\\begin\\{((?:${OF_LINES}|${WITHIN})\\*?)\\}`);
/** The source of a regular expression for the start of an environment. */
export const ENVIRONMENT = `\\\\begin\\{(?:${OF_LINES}|${WITHIN})\\*?\\}`;
const NEEDS_LINES = new RegExp(`\\\\begin\\{(?:${OF_LINES})\\*?\\}`);

/**
 * The name of the environment that `source` begins with, or undefined.
 * @param {string} source
 */
export const environmentAt = (source) => OPENING.exec(source)?.[1];

/**
 * The index after the end of the environment `name`, which begins at `from`; -1 without an end.
 * @param {string} source
 * @param {string} name
 */
export function environmentEnd(source, name, from = 0) {
  const mark = new RegExp(`\\\\(begin|end)\\{${name.replace("*", "\\*")}\\}`, "g");
  mark.lastIndex = from;
  let depth = 0;
  for (let match = mark.exec(source); match; match = mark.exec(source)) {
    depth += match[1] === "begin" ? 1 : -1;
    if (depth === 0) return match.index + match[0].length;
  }
  return -1;
}

/**
 * Whether TeX can only be drawn as a formula on lines of its own.
 * @param {string} tex
 */
export const needsLines = (tex) => NEEDS_LINES.test(tex);

// Environments that have another name in KaTeX. Equations are not numbered, because the numbers would be wrong across answers.
const [ALIGN, GATHER] = ["align*", "gather*"].map((name) => [`\\begin{${name}}`, `\\end{${name}}`]);
const COLUMNS = ["\\begin{array}{rcl}", "\\end{array}"];
/** @type {Record<string, string[]>} */
const RENAMED = {
  equation: ["\\begin{equation*}", "\\end{equation*}"],
  align: ALIGN,
  flalign: ALIGN,
  "flalign*": ALIGN,
  alignat: ["\\begin{alignat*}", "\\end{alignat*}"],
  gather: GATHER,
  multline: GATHER,
  "multline*": GATHER,
  eqnarray: COLUMNS,
  "eqnarray*": COLUMNS,
  displaymath: ["{", "}"],
};

/**
 * `tex` as KaTeX can draw it.
 * @param {string} tex
 */
export function forKatex(tex) {
  return linesOf(tex)
    .replace(/\\label\s{0,9}\{[^{}]{0,200}\}/g, "")
    .replace(/\\(begin|end)\{([a-z]{1,20}\*?)\}/g, (mark, side, name) => RENAMED[name]?.[side === "begin" ? 0 : 1] ?? mark);
}

/**
 * A formula between blank lines is drawn on lines of its own, if no block continues over them.
 * @param {string} tex
 */
function linesOf(tex) {
  const lines = tex.split(/\n[ \t]*\n\s*/).map((line) => line.trim().replace(/\\\\$/, ""));
  if (lines.length < 2 || lines.some((line) => NEEDS_LINES.test(line) || !isWhole(line))) return tex;
  return `\\begin{gathered}${lines.join(" \\\\ ")}\\end{gathered}`;
}

/** @param {string} tex */
function isWhole(tex) {
  /** @param {string} mark */
  const count = (mark) => tex.split(mark).length - 1;
  const isPaired = [["{", "}"], ["\\begin", "\\end"], ["\\left", "\\right"]].every(([open, close]) => count(open) === count(close));
  return isPaired && (!tex.includes("&") || tex.includes("\\begin"));
}
