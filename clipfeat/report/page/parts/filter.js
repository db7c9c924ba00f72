// Give each long table a field that hides the rows without the typed text.
for (const table of document.querySelectorAll("table.sortable")) {
  const rows = [...table.querySelectorAll("tbody tr:not(.group)")];
  if (rows.length < 13) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter rows";
  field.className = "filter";
  field.setAttribute("aria-label", `Filter the rows of ${table.caption?.textContent ?? "the table"}`);
  (table.closest(".clipfeat-box") ?? table).before(field);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    rows.forEach((row, i) => { row.hidden = !texts[i].includes(wanted); });
  });
}
