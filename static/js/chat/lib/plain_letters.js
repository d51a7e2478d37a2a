// Folds letters as the server's search does (chat/search/letters.py), so that case, accents and width do not
// matter. `starts` has the index in the text of each folded letter, and last the length of the text.

/** @type {Record<string, string>} */
const LETTERS = { ø: "o", đ: "d", ð: "d", ħ: "h", ı: "i", ł: "l", ŋ: "n", ŧ: "t", ĸ: "k", þ: "th", æ: "ae", œ: "oe", ə: "e", ß: "ss" };
const CLUSTER = /\P{M}[\p{M}\u1160-\u11ff\uff9e\uff9f]*|\p{M}+/gu;
const ACCENTS = /[\u0300-\u036f]+/g;

/** @param {string} text */
export function folded(text) {
  let letters = "";
  const starts = [];
  for (const { 0: cluster, index } of text.matchAll(CLUSTER)) {
    const plain = foldedCluster(cluster);
    for (let n = 0; n < plain.length; n++) starts.push(index);
    letters += plain;
  }
  return { letters, starts: [...starts, text.length] };
}

/** @param {string} cluster */
function foldedCluster(cluster) {
  if (/^\p{ASCII}$/u.test(cluster)) return cluster.toLowerCase();
  const decomposed = cluster.toLowerCase().normalize("NFKD").replace(ACCENTS, "").normalize("NFC");
  return [...decomposed].map((letter) => LETTERS[letter] ?? letter).join("");
}

/**
 * The words of a query, folded for `hasAll` and `marked`.
 * @param {string} query
 */
export const wordsOf = (query) => folded(query).letters.split(/\s+/).filter(Boolean);

/**
 * @param {string} text
 * @param {string[]} words
 */
export function hasAll(text, words) {
  const { letters } = folded(text);
  return words.every((word) => letters.includes(word));
}

/**
 * A label in parts, [text, whether it matched], that mark the first place of each word.
 * @param {string} label
 * @param {string[]} words
 */
export function marked(label, words) {
  const { letters, starts } = folded(label);
  const places = words
    .map((word) => [letters.indexOf(word), word.length])
    .filter(([at]) => at >= 0)
    .map(([at, length]) => [starts[at], endOf(starts, at + length)])
    .sort((a, b) => a[0] - b[0]);
  const parts = [];
  let from = 0;
  for (const [start, end] of places) {
    if (start < from) continue;
    parts.push([label.slice(from, start), false], [label.slice(start, end), true]);
    from = end;
  }
  return [...parts, [label.slice(from), false]].filter(([part]) => part);
}

/**
 * The end in the text of a match up to `at`. Folded letters with the same origin stay together (ß is "ss").
 * @param {number[]} starts
 * @param {number} at
 */
function endOf(starts, at) {
  while (at < starts.length - 1 && starts[at] === starts[at - 1]) at++;
  return starts[at];
}
