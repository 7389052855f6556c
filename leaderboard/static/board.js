// Sorting: a button in each header of a `.sortable` table, so that mouse and keyboard do the same.
"use strict";

const key = (row, column, numeric) => {
  const cell = row.cells[column];
  if (!numeric) return cell.textContent.trim().toLowerCase();
  const raw = cell.dataset.value;
  return raw === undefined || raw === "" ? null : Number(raw);
};

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

const sort = (table, column, numeric, descending) => {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, value: key(row, column, numeric) }));
  rows.sort((x, y) => {
    // Cells without a value stay last in both directions.
    if (x.value === null || y.value === null) return (x.value === null) - (y.value === null);
    return compare(x.value, y.value) * (descending ? -1 : 1);
  });
  body.append(...rows.map(({ row }) => row));
};

for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const numeric = header.dataset.type === "number";
    const name = header.textContent.trim();
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Sort by ${name}`);
    button.addEventListener("click", () => {
      const was = header.getAttribute("aria-sort");
      const descending = was ? was === "ascending" : numeric;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(table, column, numeric, descending);
    });
    header.append(button);
  });
}
