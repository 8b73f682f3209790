"use strict";
(function () {
  // What varies from one run to the next, and so is no part of the page: `run.js` beside it has it, where there is one.
  const run = window.PAG_RUN;
  if (!run) { return; }
  const settings = document.getElementById("settings");
  for (const [name, value] of run.settings) {
    const pair = document.createElement("div");
    const head = document.createElement("dt");
    const text = document.createElement("dd");
    head.textContent = String(name);
    text.textContent = String(value);
    pair.append(head, text);
    settings.append(pair);
  }
  const table = document.createElement("table");
  const line = (name, seconds) => {
    const row = table.insertRow();
    row.insertCell().textContent = String(name);
    row.insertCell().textContent = Number(seconds).toFixed(1) + " s";
  };
  const seconds = new Map(run.times.map((entry) => [String(entry.stage), Number(entry.seconds)]));
  for (const [stage, time] of seconds) { line(stage, time); }
  line("all stages", [...seconds.values()].reduce((a, b) => a + b, 0));
  for (const place of document.querySelectorAll("[data-stages]")) {
    const known = place.dataset.stages.split(" ").filter((stage) => seconds.has(stage)).map((stage) => seconds.get(stage));
    if (known.length) { place.textContent = (known.reduce((a, b) => a + b) / known.length).toFixed(1) + " s"; }
  }
  const box = document.createElement("div");
  box.className = "scroll";
  box.append(table);
  document.getElementById("times").replaceChildren(box);
}());
