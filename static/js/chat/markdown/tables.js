// A long table is drawn as several, one below the other, so that new rows do not make the browser
// lay out all rows again. The first one decides how wide the columns are.

const measured = new WeakMap(); // box -> {columns, whole}, in pixels: asking again would lay out all that was added

/** Put the rows of `more` below the table in `box`; gives the element that was added. */
export function joinTable(box, more) {
  const { columns: widths, whole } = widthsOf(box);
  more.className = "md-table-more";
  more.tHead?.classList.add("visually-hidden");
  if (widths.some((width) => width > 0)) {
    const columns = document.createElement("colgroup");
    for (const width of widths) {
      const column = document.createElement("col");
      column.style.width = `${width}px`;
      columns.append(column);
    }
    more.prepend(columns);
    more.style.width = `${whole}px`;
  }
  box.append(more);
  return more;
}

function widthsOf(box) {
  if (measured.has(box)) return measured.get(box);
  const first = box.querySelector("table");
  const widthOf = (element) => element.getBoundingClientRect().width;
  const widths = { columns: [...first.rows[0].cells].map(widthOf), whole: widthOf(first) };
  if (widths.whole > 0) measured.set(box, widths);
  return widths;
}
