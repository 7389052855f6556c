// Sorting, filtering, comparing and curve details. Pages are complete without it.
// The state of a page is kept in the URL's fragment, so that every view has a link.
"use strict";

const state = new URLSearchParams(location.hash.slice(1));
const remember = (key, value) => {
  if (value) state.set(key, value);
  else state.delete(key);
  history.replaceState(null, "", `#${state}`);
};
const list = (key) => (state.get(key) || "").split(",").filter(Boolean);

// -- sorting ---------------------------------------------------------------------------------------

const keyOf = (row, column, numeric) => {
  const cell = row.cells[column];
  if (!numeric) return cell.textContent.trim().toLowerCase();
  const raw = cell.dataset.value;
  return raw === undefined || raw === "" ? null : Number(raw);
};

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

const sortTable = (table, column, descending) => {
  const headers = [...table.tHead.rows[0].cells];
  const numeric = headers[column].dataset.type === "number";
  headers.forEach((other) => other.removeAttribute("aria-sort"));
  headers[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: keyOf(row, column, numeric) }));
  rows.sort((x, y) => {
    // Cells without a value stay last in both directions.
    if (x.value === null || y.value === null) return (x.value === null) - (y.value === null);
    return compare(x.value, y.value) * (descending ? -1 : 1);
  });
  table.tBodies[0].append(...rows.map(({ row }) => row));
};

const makeSortable = (table, index) => {
  const name = table.id === "matrix" ? "sort" : `sort${index}`;
  const known = /^(\d+)([ad])$/.exec(state.get(name) || "");
  if (known && Number(known[1]) < table.tHead.rows[0].cells.length) sortTable(table, Number(known[1]), known[2] === "d");
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Sort by ${header.textContent.trim()}`);
    button.addEventListener("click", () => {
      const was = header.getAttribute("aria-sort");
      const descending = was ? was === "ascending" : header.dataset.type === "number";
      sortTable(table, column, descending);
      remember(name, `${column}${descending ? "d" : "a"}`);
    });
    header.append(button);
  });
};

document.querySelectorAll("table.sortable").forEach(makeSortable);

// -- filters, columns and comparison on the index page ---------------------------------------------

const matrix = document.getElementById("matrix");

const showMatrix = () => {
  const value = (name) => state.get(name) || "";
  const hidden = new Set(list("hide"));
  const chosen = new Set(list("rows"));
  const only = state.get("only") === "rows" && chosen.size > 0;
  const shownColumns = new Set();
  [...matrix.tHead.rows[0].cells].forEach((header, column) => {
    const { task, kind, tier } = header.dataset;
    const shown =
      !task || (!hidden.has(task) && [kind, ""].includes(value("kind")) && [tier, ""].includes(value("tier")));
    if (shown && task) shownColumns.add(column);
    [...matrix.rows].forEach((row) => { row.cells[column].hidden = !shown; });
  });
  let count = 0;
  [...matrix.tBodies[0].rows].forEach((row) => {
    const { label, family } = row.dataset;
    const statuses = [...row.cells].filter((_, i) => shownColumns.has(i)).map((cell) => cell.dataset.status);
    row.hidden = Boolean(
      (value("family") && value("family") !== family) ||
      (value("status") && !statuses.includes(value("status"))) ||
      (state.get("references") === "off" && row.classList.contains("reference")) ||
      (only && !chosen.has(label)),
    );
    if (!row.hidden) count += 1;
    row.querySelector("input.choose").checked = chosen.has(label);
  });
  document.getElementById("shown").textContent = `${count} methods, ${shownColumns.size} tasks shown`;
  document.getElementById("only").disabled = chosen.size === 0;
};

const bindFilters = () => {
  const form = document.getElementById("filters");
  form.hidden = false;
  form.querySelectorAll("select").forEach((select) => {
    select.value = state.get(select.name) || "";
    select.addEventListener("change", () => { remember(select.name, select.value); showMatrix(); });
  });
  const references = document.getElementById("references");
  references.checked = state.get("references") !== "off";
  references.addEventListener("change", () => { remember("references", references.checked ? "" : "off"); showMatrix(); });
  form.querySelectorAll("input.column").forEach((box) => {
    box.checked = !list("hide").includes(box.value);
    box.addEventListener("change", () => {
      const off = [...form.querySelectorAll("input.column")].filter((b) => !b.checked).map((b) => b.value);
      remember("hide", off.join(","));
      showMatrix();
    });
  });
  [...matrix.tBodies[0].rows].forEach((row) => {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.className = "choose";
    box.setAttribute("aria-label", `Choose ${row.dataset.label} for comparison`);
    box.addEventListener("change", () => {
      const all = [...matrix.querySelectorAll("input.choose")].filter((b) => b.checked);
      remember("rows", all.map((b) => b.closest("tr").dataset.label).join(","));
      showMatrix();
    });
    row.cells[0].prepend(box);
  });
  const only = document.getElementById("only");
  only.checked = state.get("only") === "rows";
  only.addEventListener("change", () => { remember("only", only.checked ? "rows" : ""); showMatrix(); });
  document.getElementById("reset").addEventListener("click", () => {
    history.replaceState(null, "", location.pathname);
    location.reload();
  });
  showMatrix();
};

if (matrix) bindFilters();

// -- details of curves: by mouse, and by arrow keys on a focused plot --------------------------------

const near = (points, x) =>
  points.reduce((best, p) => (Math.abs(p.px - x) < Math.abs(best.px - x) ? p : best), points[0]);

const describe = (plot) => {
  const lines = [...plot.querySelectorAll("polyline[data-name]")].map((line) => {
    const xs = line.dataset.x.split(" "), ys = line.dataset.y.split(" ");
    const points = [...line.points].map((p, i) => ({ px: p.x, py: p.y, x: Number(xs[i]), y: Number(ys[i]) }));
    return { name: line.dataset.name, points };
  });
  const out = plot.parentElement.querySelector("output");
  const cursor = plot.querySelector(".cursor");
  const show = (x) => {
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.classList.add("on");
    out.textContent = lines
      .map(({ name, points }) => { const p = near(points, x); return `${name}: ${p.y.toFixed(3)} at ${p.x.toPrecision(3)}`; })
      .join("; ");
  };
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    show(((event.clientX - box.left) / box.width) * plot.viewBox.baseVal.width);
  });
  const stops = [...new Set(lines.flatMap((l) => l.points.map((p) => p.px)))].sort((a, b) => a - b);
  let stop = -1;
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !stops.length) return;
    event.preventDefault();
    stop = Math.min(Math.max(stop + step, 0), stops.length - 1);
    show(stops[stop]);
  });
};

document.querySelectorAll("svg.plot.curves").forEach(describe);
