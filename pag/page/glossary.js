"use strict";
(function () {
  // What a word means, while it is pointed at or has the focus. Where no script runs, the link leads to the glossary.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  const hide = () => { tip.hidden = true; };
  const show = (link) => {
    const entry = document.getElementById(link.hash.slice(1));
    if (!entry) { return; }
    const name = entry.querySelector("span");
    tip.textContent = (name ? name.textContent + ": " : "") + entry.nextElementSibling.textContent;
    tip.hidden = false;
    link.setAttribute("aria-describedby", tip.id);
    const word = link.getBoundingClientRect();
    const size = tip.getBoundingClientRect();
    const below = word.bottom + 6 + size.height < window.innerHeight;
    tip.style.left = Math.max(8, Math.min(word.left, window.innerWidth - size.width - 8)) + "px";
    tip.style.top = (below ? word.bottom + 6 : word.top - size.height - 6) + "px";
  };
  for (const link of document.querySelectorAll("a.term")) {
    link.addEventListener("pointerenter", () => show(link));
    link.addEventListener("pointerleave", hide);
    link.addEventListener("focus", () => show(link));
    link.addEventListener("blur", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { hide(); } });
  const follow = () => { // a link that takes the focus is scrolled into view first
    const link = document.activeElement;
    if (!tip.hidden && link && link.matches("a.term")) { show(link); } else { hide(); }
  };
  document.addEventListener("scroll", follow, { passive: true, capture: true });
}());
