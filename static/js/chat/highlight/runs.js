// Converts the highlighter's markup to runs of [class, text]. The page builds nodes from them, so that
// no markup passes from the code to the page. Pure.

const MARKUP = /<span class="([^"]*)">|<\/span>|&(?:amp|lt|gt|quot|#x27);|[^<&]+|[<&]/g;
/** @typedef {[name: string, text: string]} Run */

/** @type {Record<string, string>} */
const CHARACTERS = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };
const CLASS = /^[\w -]{1,80}$/;

/**
 * The markup of highlight.js as [[class or "", text], …].
 * @param {string} markup
 */
export function runsOf(markup) {
  /** @type {Run[]} */
  const runs = [];
  const open = [""];
  for (const [part, name] of markup.matchAll(MARKUP)) {
    if (name !== undefined) open.push(CLASS.test(name) ? name : open.at(-1) ?? "");
    else if (part === "</span>") open.pop();
    else add(runs, open.at(-1) ?? "", CHARACTERS[part] ?? part);
  }
  return runs;
}

/**
 * @param {Run[]} runs
 * @param {string} name
 * @param {string} text
 */
function add(runs, name, text) {
  const last = runs.at(-1);
  if (last && last[0] === name) last[1] += text;
  else runs.push([name, text]);
}

/**
 * Cut runs into pieces of the given `lengths` in characters: one list of runs for each piece.
 * @param {Run[]} runs
 * @param {number[]} lengths
 */
export function splitRuns(runs, lengths) {
  const lists = [];
  let index = 0;
  let used = 0;
  for (const length of lengths) {
    /** @type {Run[]} */
    const list = [];
    for (let left = length; left > 0 && index < runs.length; ) {
      const [name, text] = runs[index];
      const piece = text.slice(used, used + left);
      list.push([name, piece]);
      left -= piece.length;
      used += piece.length;
      if (used === text.length) {
        index += 1;
        used = 0;
      }
    }
    lists.push(list);
  }
  return lists;
}
