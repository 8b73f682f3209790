"use strict";
(function () {
  // The number of a mark while it is pointed at or reached by the arrow keys; and the same method in every chart that has it.
  const REACH = [[0, 0], [4, 0], [-4, 0], [0, 4], [0, -4], [8, 0], [-8, 0], [0, 8], [0, -8]];
  const charts = Array.from(document.querySelectorAll(".chart > svg"));
  if (!charts.length) { return; }
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  const marks = new Map(charts.map((chart) => [chart, Array.from(chart.querySelectorAll(".role-mark [data-text]"))]));
  const named = new Map();
  for (const mark of Array.from(marks.values()).flat()) {
    const name = nameOf(mark);
    named.set(name, (named.get(name) || []).concat(mark));
  }
  let shown = null;

  function nameOf(mark) { return mark.dataset.text.split(": ")[0]; }

  function alike(mark, on) {
    const same = named.get(nameOf(mark));
    for (const other of same) { other.classList.toggle("same", on); }
    for (const chart of new Set(same.map((other) => other.ownerSVGElement))) { chart.classList.toggle("picking", on); }
  }

  function hide() {
    if (!shown) { return; }
    alike(shown, false);
    shown.classList.remove("picked");
    shown = null;
    tip.hidden = true;
  }

  function show(mark) {
    if (mark === shown) { return; }
    hide();
    shown = mark;
    alike(mark, true);
    mark.classList.add("picked");
    tip.textContent = mark.dataset.text;
    tip.hidden = false;
  }

  function place(x, y) {
    const size = tip.getBoundingClientRect();
    const above = y - size.height - 12 > 0;
    tip.style.left = Math.max(8, Math.min(x - size.width / 2, window.innerWidth - size.width - 8)) + "px";
    tip.style.top = (above ? y - size.height - 12 : y + 16) + "px";
  }

  function near(chart, event) {
    for (const [dx, dy] of REACH) {
      const found = document.elementFromPoint(event.clientX + dx, event.clientY + dy);
      const mark = found && found.closest(".role-mark [data-text]");
      if (mark && chart.contains(mark)) { return mark; }
    }
    return null;
  }

  function point(event) {
    const mark = near(event.currentTarget, event);
    if (!mark) { hide(); return; }
    show(mark);
    place(event.clientX, event.clientY);
  }

  function step(event) {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const all = marks.get(event.currentTarget);
    if (!(event.key in steps) || !all.length) { return; }
    event.preventDefault();
    const at = all.indexOf(shown);
    const next = at < 0 ? (steps[event.key] > 0 ? 0 : all.length - 1) : (at + steps[event.key] + all.length) % all.length;
    show(all[next]);
    placeAbove(all[next]);
  }

  function placeAbove(mark) {
    const box = mark.getBoundingClientRect();
    place(box.left + box.width / 2, box.top);
  }

  function follow() { // a chart that takes the focus is scrolled into view first
    if (shown && document.activeElement === shown.ownerSVGElement) { placeAbove(shown); } else { hide(); }
  }

  for (const [chart, of] of marks) {
    if (!of.length) { continue; }
    chart.setAttribute("tabindex", "0");
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerdown", point);
    chart.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") { hide(); } });
    chart.addEventListener("keydown", step);
    chart.addEventListener("blur", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { hide(); } });
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest(".chart > svg")) { hide(); } });
  document.addEventListener("scroll", follow, { passive: true, capture: true });
}());
