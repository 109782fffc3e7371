"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const options = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  const isTouched = matchMedia("(pointer: coarse)").matches;  // there, dragging scrolls the page

  // Colours are names of the page's style until here, so that plots follow light and dark.
  function painted(value, style) {
    if (typeof value === "string" && value.startsWith("var(--"))
      return style.getPropertyValue(value.slice(4, -1)).trim();
    if (Array.isArray(value)) return value.map((item) => painted(item, style));
    if (value !== null && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, style)]));
    return value;
  }

  function draw(place) {
    const style = getComputedStyle(document.documentElement);
    const { data, layout, narrow } = painted(figures[place.dataset.plot], style);
    if (place.clientWidth < 520) {
      narrow.data.forEach((more, k) => Object.assign(data[k], more));
      for (const [part, more] of Object.entries(narrow.layout)) Object.assign(layout[part], more);
    }
    if (isTouched) layout.dragmode = false;
    return Plotly.react(place, data, layout, options).then(() => { place.dataset.drawn = "yes"; });
  }

  const places = [...document.querySelectorAll("[data-plot]")];
  const drawAll = () => Promise.all(places.map(draw));
  drawAll().then(() => { document.documentElement.dataset.ready = "yes"; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  for (const button of document.querySelectorAll("button[data-figure]"))
    button.addEventListener("click", () => {
      for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
      const place = button.closest("section").querySelector("[data-plot]");
      place.dataset.plot = button.dataset.figure;
      draw(place);
    });

  for (const table of document.querySelectorAll("table[data-sortable]"))
    table.tHead.rows[0].querySelectorAll("th").forEach((head, column) => {
      head.tabIndex = 0;
      head.addEventListener("keydown", (event) => { if (event.key === "Enter") head.click(); });
      head.addEventListener("click", () => sort(table, head, column));
    });

  function sort(table, head, column) {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => {
      const cell = row.cells[column];
      return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
    };
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (typeof x === "number" && typeof y === "number") return y - x;
      return typeof x === typeof y ? String(y).localeCompare(String(x)) : typeof x === "number" ? -1 : 1;
    };
    const rows = [...table.tBodies[0].rows].sort(order);
    table.tBodies[0].append(...(down ? rows : rows.reverse()));
  }
})();
