"use strict";
(function () {
  if (!Array.isArray(window.PAG_TIMES)) { return; }
  const cell = (row, text) => { row.insertCell().textContent = text; };
  const table = document.createElement("table");
  let total = 0;
  for (const entry of window.PAG_TIMES) {
    const row = table.insertRow();
    cell(row, String(entry.stage));
    cell(row, Number(entry.seconds).toFixed(1) + " s");
    total += Number(entry.seconds);
  }
  const row = table.insertRow();
  cell(row, "sum of the stages");
  cell(row, total.toFixed(1) + " s");
  const seconds = new Map(window.PAG_TIMES.map((entry) => [String(entry.stage), Number(entry.seconds)]));
  for (const place of document.querySelectorAll("[data-stages]")) {
    const known = place.dataset.stages.split(" ").filter((stage) => seconds.has(stage)).map((stage) => seconds.get(stage));
    if (known.length) { place.textContent = (known.reduce((a, b) => a + b) / known.length).toFixed(1) + " s"; }
  }
  const box = document.createElement("div");
  box.className = "scroll";
  box.append(table);
  document.getElementById("times").replaceChildren(box);
}());
