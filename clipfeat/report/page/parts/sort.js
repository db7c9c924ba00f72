// Make each column heading a button that sorts the table. Without JavaScript the table stays as is.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(head, column));
  });
  const number = (cell) => parseFloat(cell.textContent.trim().replace(/,/g, ""));
  function sort(head, column) {
    const rows = [...body.rows], cells = rows.map((row) => row.cells[column]);
    const numeric = column > 0 && cells.some((cell) => !Number.isNaN(number(cell)));
    const before = head.getAttribute("aria-sort");
    const first = numeric ? head.dataset.first ?? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = before === first ? other : first;
    const sign = order === "ascending" ? 1 : -1;
    const compare = numeric
      ? (a, b) => (Number.isNaN(a) - Number.isNaN(b)) || sign * (a - b) || 0
      : (a, b) => sign * a.localeCompare(b, undefined, { numeric: true });
    const keys = new Map(rows.map((row, i) =>
      [row, numeric ? number(cells[i]) : cells[i].textContent.trim()]));
    rows.sort((a, b) => compare(keys.get(a), keys.get(b)));
    body.append(...rows);
    for (const one of heads) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
  }
}
