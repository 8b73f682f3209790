"use strict";
(function () {
  // Columns sort by the number that an entry begins with, else by its text; what has no number comes last.
  const number = (text) => Number.parseFloat(text.replace("−", "-"));
  const text = (row, column) => row.cells[column].textContent.trim();
  const compare = (column, sign) => (a, b) => {
    const [x, y] = [number(text(a, column)), number(text(b, column))];
    if (Number.isNaN(x) && Number.isNaN(y)) { return sign * text(a, column).localeCompare(text(b, column)); }
    if (Number.isNaN(x) || Number.isNaN(y)) { return Number.isNaN(x) ? 1 : -1; }
    return sign * (x - y);
  };
  const sort = (table, column) => {
    const heads = table.tHead.rows[0].cells;
    const first = column === 0 ? "ascending" : "descending"; // of numbers the largest first
    const other = first === "ascending" ? "descending" : "ascending";
    const order = heads[column].getAttribute("aria-sort") === first ? other : first;
    for (const head of heads) { head.removeAttribute("aria-sort"); }
    heads[column].setAttribute("aria-sort", order);
    const rows = [...table.tBodies[0].rows].sort(compare(column, order === "ascending" ? 1 : -1));
    table.tBodies[0].append(...rows);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      for (const link of head.querySelectorAll("a.term")) { link.replaceWith(...link.childNodes); } // no link inside a button
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, column));
    });
  }
  // What is wider than the page can be scrolled by keyboard, and only then takes a stop of the tabulator.
  const boxes = [...document.querySelectorAll(".scroll")];
  const fit = () => {
    for (const box of boxes) {
      if (box.scrollWidth > box.clientWidth) { box.tabIndex = 0; } else { box.removeAttribute("tabindex"); }
    }
  };
  window.addEventListener("resize", fit);
  document.addEventListener("toggle", fit, true); // what was folded away has no width
  fit();
}());
