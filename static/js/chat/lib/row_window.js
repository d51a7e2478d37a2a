// Which rows of a long list are drawn: those in view and some around them.

const MARGIN_PX = 320;

/**
 * The distances of all rows from the top; the last one is the height of the list.
 * @template Row
 * @param {Row[]} rows
 * @param {(row: Row) => number} heightOf
 */
export function topsOf(rows, heightOf) {
  const tops = [0];
  for (const row of rows) tops.push(tops[tops.length - 1] + heightOf(row));
  return tops;
}

/**
 * The first row to draw, and the first after it that is not drawn.
 * @param {number[]} tops
 * @param {{top: number, height: number}} view
 * @returns {[number, number]}
 */
export function rowsInView(tops, { top, height }) {
  const count = tops.length - 1;
  let first = 0;
  while (first < count && tops[first + 1] < top - MARGIN_PX) first++;
  let end = first;
  while (end < count && tops[end] < top + height + MARGIN_PX) end++;
  return [first, end];
}

/**
 * How far to scroll so that a row is in view.
 * @param {number[]} tops
 * @param {number} row
 * @param {{top: number, height: number}} view
 */
export function scrolledTo(tops, row, { top, height }) {
  if (tops[row] < top) return tops[row];
  return Math.max(top, tops[row + 1] - height);
}
