// Measures, sorting, filtering, comparing and curve details. Pages are complete without it.
// The state of a page is kept in the URL's fragment, so that every view has a link.
"use strict";

const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
const remember = (key, ...values) => {
  state.delete(key);
  values.filter(Boolean).forEach((value) => state.append(key, value));
  history.replaceState(null, "", `#${state}`);
};

// A link within the page moves the eye and leaves the fragment to the state.
document.querySelectorAll('a[href^="#"]').forEach((link) => {
  link.addEventListener("click", (event) => {
    const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!target) return;
    event.preventDefault();
    target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  });
});

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
  const name = `sort-${table.id || index}`;
  const known = /^(\d+)([ad])$/.exec(state.get(name) || "");
  if (known && Number(known[1]) < table.tHead.rows[0].cells.length) sortTable(table, Number(known[1]), known[2] === "d");
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `Sort by ${header.textContent.trim().replace(/\s+/g, " ")}`);
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

// -- the measure of each section ---------------------------------------------------------------------

const bindSwitch = (section) => {
  const views = [...section.querySelectorAll(".view")];
  const radios = [...section.querySelectorAll(".switch input")];
  const key = `measure-${section.dataset.kind}`;
  const choose = (measure) => views.forEach((view) => { view.hidden = view.dataset.measure !== measure; });
  const known = radios.find((radio) => radio.value === state.get(key));
  if (known) { known.checked = true; choose(known.value); }
  // A browser that goes back restores the choice of the form and not that of the page.
  else if (radios.length) { radios[0].checked = true; choose(radios[0].value); }
  radios.forEach((radio) => radio.addEventListener("change", () => {
    choose(radio.value);
    remember(key, radio === radios[0] ? "" : radio.value);
    showMatrices();
  }));
  section.querySelector(".switch").hidden = false;
};

// -- filters, columns and comparison on the index page -----------------------------------------------

const form = document.getElementById("filters");
const matrices = form ? [...document.querySelectorAll("table.matrix")] : [];

const showColumns = (table) => {
  const hidden = new Set(state.getAll("hide"));
  const tier = state.get("tier");
  const shown = [];
  [...table.tHead.rows[0].cells].forEach((header, place) => {
    const { column } = header.dataset;
    const on = !column || (!hidden.has(column) && (!tier || tier === header.dataset.tier));
    if (on && column) shown.push(place);
    [...table.tHead.rows, ...table.tBodies[0].rows].forEach((row) => { row.cells[place].hidden = !on; });
  });
  return shown;
};

const showRows = (table, columns) => {
  const chosen = new Set(state.getAll("row"));
  const only = state.get("only") === "rows" && chosen.size > 0;
  const status = state.get("status"), method = state.get("method");
  [...table.tBodies[0].rows].forEach((row) => {
    const { label } = row.dataset;
    row.hidden = Boolean(
      (method && method !== row.dataset.method) ||
      (status && !columns.some((place) => row.cells[place].dataset.status === status)) ||
      (state.get("references") === "off" && row.classList.contains("reference")) ||
      (only && !chosen.has(label)),
    );
    const box = row.querySelector("input.choose");
    if (box) box.checked = chosen.has(label);
  });
};

const showMatrices = () => {
  const labels = new Set(), columns = new Set(), kind = state.get("kind");
  document.querySelectorAll("section.kind").forEach((section) => {
    section.hidden = Boolean(kind && kind !== section.dataset.kind);
  });
  matrices.forEach((table) => {
    const places = showColumns(table);
    showRows(table, places);
    const block = table.closest(".block");
    if (block) block.hidden = !places.length || [...table.tBodies[0].rows].every((row) => row.hidden);
    if (table.closest("[hidden]")) return;
    places.forEach((place) => columns.add(table.tHead.rows[0].cells[place].dataset.column));
    [...table.tBodies[0].rows].filter((row) => !row.hidden).forEach((row) => labels.add(row.dataset.label));
  });
  const count = (names, word) => `${names.size} ${word}${names.size === 1 ? "" : "s"}`;
  document.getElementById("shown").textContent = `${count(labels, "method")}, ${count(columns, "column")} shown`;
  document.getElementById("only").disabled = state.getAll("row").length === 0;
};

const addBox = (row) => {
  const box = document.createElement("input");
  const { label } = row.dataset;
  box.type = "checkbox";
  box.className = "choose";
  box.setAttribute("aria-label", `Choose ${label} for comparison`);
  box.addEventListener("change", () => {
    const others = state.getAll("row").filter((chosen) => chosen !== label);
    remember("row", ...others, box.checked ? label : "");
    showMatrices();
  });
  row.cells[0].prepend(box);
};

const bindFilters = () => {
  form.hidden = false;
  form.querySelectorAll("select").forEach((select) => {
    select.value = state.get(select.name) || "";
    select.addEventListener("change", () => { remember(select.name, select.value); showMatrices(); });
  });
  const references = document.getElementById("references");
  references.checked = state.get("references") !== "off";
  references.addEventListener("change", () => { remember("references", references.checked ? "" : "off"); showMatrices(); });
  const columns = [...form.querySelectorAll("input.column")];
  columns.forEach((box) => {
    box.checked = !state.getAll("hide").includes(box.value);
    box.addEventListener("change", () => {
      remember("hide", ...columns.filter((b) => !b.checked).map((b) => b.value));
      showMatrices();
    });
  });
  matrices.filter((table) => "choose" in table.dataset).forEach((table) => [...table.tBodies[0].rows].forEach(addBox));
  const only = document.getElementById("only");
  only.checked = state.get("only") === "rows";
  only.addEventListener("change", () => { remember("only", only.checked ? "rows" : ""); showMatrices(); });
  document.getElementById("reset").addEventListener("click", () => {
    history.replaceState(null, "", location.pathname);
    location.reload();
  });
  form.querySelector("details").open = [...state.keys()].some((key) => !/^(measure|sort)-/.test(key));
  showMatrices();
};

if (form) {
  document.querySelectorAll("section.kind").forEach(bindSwitch);
  bindFilters();
}

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

// A name in the legend picks its line out of the others.
const pick = (plot) => {
  const lines = plot.querySelectorAll("polyline[data-name]");
  plot.parentElement.querySelectorAll(".legend li").forEach((item, place) => {
    const on = (is) => () => [plot, lines[place]].forEach((part, i) => part.classList.toggle(i ? "on" : "picked", is));
    item.addEventListener("pointerenter", on(true));
    item.addEventListener("pointerleave", on(false));
  });
};

document.querySelectorAll("svg.plot.curves").forEach((plot) => { describe(plot); pick(plot); });

// -- parts of a picture that tell more, from their rows in its table: by mouse, by finger, by arrow keys

const LEAVING = 200, GAP = 8;

// Beside the part if there is room, else below or above it, and always within the window.
const placeCard = (card, part) => {
  const at = part.getBoundingClientRect(), own = card.getBoundingClientRect();
  const within = (value, size, room) => Math.max(GAP, Math.min(value, room - size - GAP));
  let left = at.right + GAP, { top } = at;
  if (left + own.width > innerWidth) left = at.left - GAP - own.width;
  if (left < 0) {
    left = at.left;
    top = at.bottom + GAP + own.height > innerHeight ? at.top - GAP - own.height : at.bottom + GAP;
  }
  card.style.left = `${within(left, own.width, innerWidth)}px`;
  card.style.top = `${within(top, own.height, innerHeight)}px`;
};

// The nearest part in the direction of an arrow key.
const towards = (parts, from, key) => {
  const across = { ArrowLeft: -1, ArrowRight: 1 }[key], down = { ArrowUp: -1, ArrowDown: 1 }[key];
  const middle = (part) => { const b = part.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; };
  const [x, y] = middle(from);
  const ahead = parts.map((part) => {
    const [dx, dy] = middle(part).map((value, i) => value - [x, y][i]);
    const [along, aside] = across ? [dx * across, dy] : [dy * down, dx];
    return { part, along, far: along + 3 * Math.abs(aside) };
  }).filter(({ along }) => along > 4);
  return ahead.sort((a, b) => a.far - b.far)[0]?.part;
};

const bindPicture = (figure, index) => {
  const picture = figure.querySelector("svg"), card = figure.querySelector(".card");
  const rows = new Map([...figure.querySelectorAll("tr[data-part]")].map((row) => [row.dataset.part, row]));
  const parts = [...picture.querySelectorAll("[data-part]")], joins = [...picture.querySelectorAll("[data-joins]")];
  if (!parts.length) return;
  let shown = null, leaving = 0;
  const hide = () => {
    clearTimeout(leaving);
    card.hidden = true;
    shown?.classList.remove("on");
    shown?.removeAttribute("aria-describedby");
    picture.classList.remove("picked");
    shown = null;
  };
  const show = (part) => {
    clearTimeout(leaving);
    if (shown === part) return;
    hide();
    shown = part;
    const row = rows.get(part.dataset.part), heads = row.closest("table").tHead.rows[0].cells;
    card.replaceChildren(...[...row.cells].filter((cell) => cell.hasChildNodes()).map((cell) => {
      const line = document.createElement("div");
      if (cell.cellIndex) line.append(Object.assign(document.createElement("span"), { className: "quiet", textContent: `${heads[cell.cellIndex].textContent} ` }));
      line.append(...cell.cloneNode(true).childNodes);
      return line;
    }));
    card.hidden = false;
    placeCard(card, part);
    part.classList.add("on");
    part.setAttribute("aria-describedby", card.id);
    picture.classList.add("picked");
    joins.forEach((join) => join.classList.toggle("on", join.dataset.joins.split(" ").includes(part.dataset.part)));
  };
  const leave = () => {
    leaving = setTimeout(() => {
      if (shown !== document.activeElement && !card.contains(document.activeElement)) hide();
    }, LEAVING);
  };
  card.id = `card-${index}`;
  card.addEventListener("pointerenter", () => clearTimeout(leaving));
  card.addEventListener("pointerleave", leave);
  card.addEventListener("focusout", leave);
  parts.forEach((part, place) => {
    const title = part.querySelector("title");
    part.setAttribute("role", "button");
    part.setAttribute("aria-label", title.textContent.split("\n")[0]);
    part.setAttribute("tabindex", place ? "-1" : "0");
    title.remove();
    part.addEventListener("pointerenter", () => show(part));
    part.addEventListener("pointerleave", leave);
    part.addEventListener("focus", () => {
      parts.forEach((other) => other.setAttribute("tabindex", other === part ? "0" : "-1"));
      show(part);
    });
    part.addEventListener("blur", leave);
    part.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); shown === part ? hide() : show(part); }
      if (!event.key.startsWith("Arrow")) return;
      event.preventDefault();
      towards(parts, part, event.key)?.focus();
    });
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", () => {
    if (!shown) return;
    const at = shown.getBoundingClientRect();
    if (at.bottom < 0 || at.top > innerHeight) hide();
    else placeCard(card, shown);
  }, { passive: true, capture: true });
  picture.setAttribute("role", "group");
  const hint = document.createElement("li");
  hint.textContent = "point at a part, or tab to one and use the arrow keys, to see what it stands for";
  figure.querySelector(".legend").append(hint);
};

document.querySelectorAll(".telling").forEach(bindPicture);
