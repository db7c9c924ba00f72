// Make each column heading a button that sorts the table. Without JavaScript the table stays as is.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells].filter((head) => head.tagName === "TH");
  const bodies = [...table.tBodies].filter((body) => !body.classList.contains("fixed"));
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head));
  }
  const number = (cell) => parseFloat(cell.textContent.trim().replace(/,/g, ""));
  function sort(head) {
    const column = head.cellIndex;
    const rowsOf = (body) => [...body.rows].filter((row) => !row.classList.contains("group"));
    const every = bodies.flatMap(rowsOf);
    const numeric = column > 0 && every.some((row) => !Number.isNaN(number(row.cells[column])));
    const before = head.getAttribute("aria-sort");
    const first = numeric ? head.dataset.first ?? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = before === first ? other : first;
    const sign = order === "ascending" ? 1 : -1;
    const compare = numeric
      ? (a, b) => (Number.isNaN(a) - Number.isNaN(b)) || sign * (a - b) || 0
      : (a, b) => sign * a.localeCompare(b, undefined, { numeric: true });
    const key = (row) => numeric ? number(row.cells[column]) : row.cells[column].textContent.trim();
    const keys = new Map(every.map((row) => [row, key(row)]));
    for (const body of bodies) {
      body.append(...rowsOf(body).sort((a, b) => compare(keys.get(a), keys.get(b))));
    }
    for (const one of heads) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
  }
}
