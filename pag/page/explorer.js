"use strict";
(function () {
  // Shows networks side by side: an image on its way to a class, what was added to it, and what the network says, by ε.
  const BARS = 10; // classes whose probabilities are shown, beside the target and the true one
  const LONG = 10; // characters of a name, from which bars stand below the images
  const NORMS = { l2: "L₂", linf: "L∞" };
  const PLAY = 700; // milliseconds a step

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const percent = (level) => level > 0 && level < 2.55 ? "< 1%" : Math.round(100 * level / 255) + "%";
  const short = (eps) => String(Number(eps.toPrecision(3)));

  const pixelsOf = async (sprite) => {
    const image = new Image();
    image.src = "data:image/png;base64," + sprite;
    await image.decode();
    const canvas = element("canvas", { width: image.width, height: image.height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  };

  class Network {
    constructor(data, stored) {
      this.data = data;
      this.label = stored.label;
      this.probabilities = bytes(stored.probabilities);
      this.sprite = stored.sprite;
    }

    // Decoded when it is first shown: a sprite of large images is large.
    get pixels() {
      this.decoded ||= pixelsOf(this.sprite);
      return this.decoded;
    }

    // The frame of an image on its way to a target at the i-th ε, as RGBA.
    async frame(image, target, i) {
      const [, height, width] = this.data.shape;
      const pixels = await this.pixels;
      const frame = new ImageData(width, height);
      for (let y = 0; y < height; y += 1) {
        const start = 4 * (((image * this.data.targets + target) * height + y) * pixels.width + i * width);
        frame.data.set(pixels.data.subarray(start, start + 4 * width), 4 * y * width);
      }
      return frame;
    }

    // Probabilities of all classes there, in 255ths.
    levels(image, target, i) {
      const classes = this.data.classes.length;
      const start = ((image * this.data.targets + target) * this.data.epsilons.length + i) * classes;
      return this.probabilities.subarray(start, start + classes);
    }
  }

  // What was added, on its own scale: of gray images red where it is lighter and blue where it is darker, of colour images about mid-gray.
  const perturbation = (before, after, gray) => {
    const shown = new ImageData(after.width, after.height);
    let largest = 0;
    for (let j = 0; j < after.data.length; j += 1) {
      if (j % 4 < 3) { largest = Math.max(largest, Math.abs(after.data[j] - before.data[j])); }
    }
    for (let j = 0; j < after.data.length; j += 4) {
      const delta = [0, 1, 2].map((c) => (after.data[j + c] - before.data[j + c]) / (largest || 1));
      const color = gray
        ? (delta[0] > 0 ? [178, 24, 43] : [33, 102, 172]).map((c) => 247 + (c - 247) * Math.abs(delta[0]))
        : delta.map((d) => 127.5 + 127.5 * d);
      shown.data.set([...color, 255], j);
    }
    return [shown, largest / 255];
  };

  const paint = (canvas, frame) => {
    canvas.width = frame.width;
    canvas.height = frame.height;
    canvas.getContext("2d").putImageData(frame, 0, 0);
  };

  const select = (label, options, chosen) => {
    const menu = element("select", {}, ...options.map((text, i) => new Option(text, i, i === chosen, i === chosen)));
    return [element("label", {}, label, menu), menu];
  };

  class Panel {
    constructor() {
      this.shown = 0; // how often
      this.title = element("h4");
      this.image = element("canvas");
      this.added = element("canvas");
      this.strip = element("div", { className: "strip" });
      this.scale = element("figcaption");
      this.bars = element("div", { className: "explorer-bars" });
      for (const canvas of [this.image, this.added]) { canvas.setAttribute("role", "img"); }
      this.root = element("div", { className: "explorer-network" }, this.title,
        element("div", { className: "panels" },
          element("figure", {}, this.image, element("figcaption", { textContent: "image" })),
          element("figure", {}, this.added, this.strip, this.scale), this.bars));
    }

    async show(network, choice, data) {
      const { image, target, step } = choice;
      this.shown += 1;
      const asked = this.shown;
      const [before, after] = await Promise.all([network.frame(image, target, 0), network.frame(image, target, step)]);
      if (asked !== this.shown) { return; } // another choice was made while the sprite was decoded
      const [added, largest] = perturbation(before, after, data.shape[0] === 1);
      this.title.textContent = network.label;
      paint(this.image, after);
      paint(this.added, added);
      const where = `at ε = ${data.sizes[step]}`;
      this.image.setAttribute("aria-label", `${network.label}: image ${where}`);
      this.added.setAttribute("aria-label", `${network.label}: perturbation ${where}`);
      const ends = largest ? [`−${short(largest)}`, "0", `+${short(largest)}`] : [];
      this.strip.replaceChildren(...ends.map((text) => element("span", { textContent: text })));
      this.strip.classList.toggle("gray", data.shape[0] === 1);
      this.scale.textContent = largest ? "perturbation" : "no perturbation";
      this.drawBars(network.levels(image, target, step), target, data.labels[image], data.classes);
    }

    drawBars(levels, target, truth, names) {
      const order = [...levels.keys()].sort((a, b) => levels[b] - levels[a]);
      const top = new Set([...order.slice(0, BARS), target, truth]);
      const kind = (c) => ["name", ...(c === target ? ["target"] : []), ...(c === order[0] ? ["said"] : [])].join(" ");
      const rows = [...levels.keys()].filter((c) => top.has(c)).flatMap((c) => {
        const marks = [...(c === target ? ["target"] : []), ...(c === truth ? ["true"] : [])];
        const bar = element("div");
        bar.style.width = `${levels[c] / 2.55}%`;
        return [
          element("span", { className: kind(c), textContent: [names[c], ...marks].join(", ") }),
          element("div", { className: "bar" }, bar),
          element("span", { className: "value", textContent: percent(levels[c]) }),
        ];
      });
      const rest = names.length - top.size;
      if (rest > 0) { rows.push(element("span", { className: "more", textContent: `and ${rest} more class${rest > 1 ? "es" : ""}` })); }
      this.bars.classList.toggle("long", names.some((name) => name.length > LONG));
      this.bars.replaceChildren(...rows);
    }
  }

  const build = (section) => {
    const data = JSON.parse(section.querySelector("script").textContent);
    const networks = data.networks.map((stored) => new Network(data, stored));
    const labels = networks.map((network) => network.label);
    const norm = NORMS[data.norm] || data.norm;
    const all = data.labels.length;
    const [ofImage, image] = select(all < data.tried ? `Image (${all} of ${data.tried})` : "Image", data.labels.map((label, i) => `${i + 1}: ${data.classes[label]}`), 0);
    const other = [...Array(data.targets).keys()].find((c) => c !== data.labels[0]) || 0;
    const few = data.targets < data.classes.length ? ` (the first ${data.targets} of ${data.classes.length})` : "";
    const [ofTarget, target] = select(`Target class${few}`, data.classes.slice(0, data.targets), other);
    const [ofFirst, first] = select("Network", labels, labels.indexOf(data.shown[0]));
    const beside = data.shown.length > 1 ? labels.indexOf(data.shown[1]) + 1 : 0;
    const [ofSecond, second] = select("Compare with", ["none", ...labels], beside);
    const play = element("button", { type: "button", textContent: "Play" });
    const last = data.epsilons.length - 1;
    const slider = element("input", { type: "range", min: 0, max: last, step: 1, value: 0, id: section.getAttribute("aria-labelledby") + "-eps" });
    const value = element("output");
    value.setAttribute("for", slider.id);
    value.setAttribute("aria-live", "off"); // the slider says it
    const ticks = element("div", { className: "explorer-ticks" }, ...data.epsilons.map((eps, i) =>
      element("span", { textContent: data.sizes[i], className: data.threats.includes(eps) ? "attacked" : "" })));
    ticks.setAttribute("aria-hidden", "true"); // the slider says its value
    const marked = data.threats.some((eps) => data.epsilons.includes(eps));
    const bold = marked ? "; the table's in bold" : "";
    const words = element("label", { htmlFor: slider.id, textContent: `Perturbation size (${norm}${bold})` });
    const state = element("p", { className: "explorer-state" });
    state.setAttribute("aria-live", "polite");
    const panels = [new Panel(), new Panel()];

    const update = async () => {
      const choice = { image: Number(image.value), target: Number(target.value), step: Number(slider.value) };
      const shown = [networks[first.value], networks[second.value - 1]].filter(Boolean);
      const eps = data.sizes[choice.step];
      value.textContent = `ε = ${eps}`;
      slider.setAttribute("aria-valuetext", `ε = ${eps}`);
      panels[1].root.hidden = shown.length < 2;
      await Promise.all(shown.map((network, i) => panels[i].show(network, choice, data)));
      const says = shown.map((network) => {
        const levels = network.levels(choice.image, choice.target, choice.step);
        const most = levels.indexOf(Math.max(...levels));
        const missed = most === choice.target ? "" : `; target ${percent(levels[choice.target])}`;
        return `${network.label} predicts ${data.classes[most]} (${percent(levels[most])}${missed})`;
      });
      const way = `${data.classes[data.labels[choice.image]]} toward ${data.classes[choice.target]}`;
      state.textContent = `At ε = ${eps}, ${way}: ${says.join(", ")}.`;
    };

    let timer = 0;
    const stop = () => { window.clearInterval(timer); timer = 0; play.textContent = "Play"; };
    const advance = () => {
      if (Number(slider.value) === last) { stop(); return; }
      slider.value = Number(slider.value) + 1;
      update();
    };
    play.addEventListener("click", () => {
      if (timer) { stop(); return; }
      if (Number(slider.value) === last) { slider.value = 0; update(); }
      if (window.matchMedia("(prefers-reduced-motion: reduce)").matches) { advance(); return; } // a step for each press
      play.textContent = "Stop";
      timer = window.setInterval(advance, PLAY);
    });
    for (const control of [image, target, first, second]) { control.addEventListener("change", update); }
    slider.addEventListener("input", () => { stop(); update(); });
    section.querySelector(".explorer-view").replaceChildren(
      element("div", { className: "explorer-controls" }, ofImage, ofTarget, ofFirst, ofSecond, play),
      element("div", { className: "explorer-slider" }, words, slider, value, ticks),
      state,
      element("div", { className: "explorer-networks" }, ...panels.map((panel) => panel.root)));
    slider.value = Math.max(0, data.epsilons.findIndex((eps) => data.threats.includes(eps)));
    return update();
  };

  for (const section of document.querySelectorAll(".explorer")) { build(section); }
}());
