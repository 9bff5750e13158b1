// A field above each long table: only the rows that have its words stay. The page reads without it.
for (const table of document.querySelectorAll("table.sortable")) {
  if (table.tBodies[0].rows.length < 8) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "filter rows";
  field.setAttribute("aria-label", "Filter the rows of: " + table.caption.textContent);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows)
      row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  });
  table.parentNode.before(field);
}
