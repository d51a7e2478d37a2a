// A long table is drawn as several, one below the other, so that new rows do not make the browser
// lay out all rows again. The first one decides how wide the columns are.

/** Put the rows of `more` below the table in `box`; gives the element that was added. */
export function joinTable(box, more) {
  const first = box.querySelector("table");
  const widths = [...first.rows[0].cells].map((cell) => cell.getBoundingClientRect().width);
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
    more.style.width = `${first.getBoundingClientRect().width}px`;
  }
  box.append(more);
  return more;
}
