// A long table is drawn as several tables, one below the other, each with its own layout: a new row does
// not make the browser lay out all rows again, and rows out of sight are not drawn. A screen reader sees
// one table. The first part decides the widths of the columns.

/**
 * @typedef {object} Whole
 * @property {HTMLElement} element around the parts
 * @property {number[]} columns their widths in pixels
 * @property {number} width in pixels
 * @property {number} rowHeight in pixels
 */

/** @type {Record<string, string>} */
const ROLES = { THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TH: "columnheader", TD: "cell" };
/** @type {WeakMap<Element, Whole>} by box */
const wholes = new WeakMap();

/**
 * Put the rows of `more` below the table in `box`; returns the added element.
 * @param {Element} box
 * @param {HTMLTableElement} more
 */
export function joinTable(box, more) {
  const whole = wholes.get(box) ?? begin(box);
  more.tHead?.remove();
  const part = partOf(more, whole);
  whole.element.append(part);
  return part;
}

/**
 * Draw the rows in `element`, a table or a part of one, as they are in `fresh`.
 * @param {Element} element
 * @param {HTMLTableElement} fresh
 */
export function redrawTable(element, fresh) {
  const table = /** @type {HTMLTableElement} */ (element.querySelector("table"));
  const isPart = table.getAttribute("role") === "presentation";
  if (isPart) giveRoles(fresh);
  if (table.tHead && fresh.tHead) table.tHead.replaceWith(fresh.tHead);
  table.tBodies[0].replaceWith(fresh.tBodies[0]);
}

/**
 * Make the table of `box` the first of several.
 * @param {Element} box
 */
function begin(box) {
  const first = /** @type {HTMLTableElement} */ (box.querySelector("table"));
  /** @param {Element} element */
  const sizeOf = (element) => element.getBoundingClientRect();
  const { width, height } = sizeOf(first);
  const columns = [...first.rows[0].cells].map((cell) => sizeOf(cell).width);
  const whole = { columns, width, rowHeight: height / first.rows.length, element: document.createElement("div") };
  whole.element.className = "md-table-whole";
  whole.element.setAttribute("role", "table");
  if (width > 0) whole.element.style.minWidth = `${width}px`;
  first.replaceWith(whole.element);
  whole.element.append(partOf(first, whole));
  wholes.set(box, whole);
  return whole;
}

/**
 * @param {HTMLTableElement} table
 * @param {Whole} whole
 */
function partOf(table, { columns, width, rowHeight }) {
  const part = document.createElement("div");
  part.className = "md-table-part";
  part.style.containIntrinsicBlockSize = `auto ${Math.round(rowHeight * table.rows.length)}px`;
  if (width > 0) table.prepend(columnsOf(columns, width));
  giveRoles(table);
  part.append(table);
  return part;
}

/**
 * The columns as shares of the width, so that they are equal in all parts, however wide the page is.
 * @param {number[]} widths
 * @param {number} whole
 */
function columnsOf(widths, whole) {
  const columns = document.createElement("colgroup");
  for (const width of widths) {
    const column = document.createElement("col");
    column.style.width = `${(100 * width) / whole}%`;
    columns.append(column);
  }
  return columns;
}

/** @param {Element} table */
function giveRoles(table) {
  table.setAttribute("role", "presentation");
  for (const element of table.querySelectorAll("thead, tbody, tr, th, td")) element.setAttribute("role", ROLES[element.tagName]);
}
