// Charts that answer to pointer and keys: a position along the network, told in a box and to screen readers.

/** A chart as a slider: `describe(index)` gives its title and lines, `chosen(index)` is called on click and Enter. */
class Probe {
  constructor(figure, label, count, describe, chosen = () => {}) {
    this.count = count;
    this.describe = describe;
    this.index = 0;
    this.from = 0;
    this.size = count;
    this.seen = false;
    this.follow = () => {};
    this.areas = [...figure.querySelectorAll(".area")];
    this.cursors = this.areas.map((area) => area.appendChild(make("div", { className: "cursor", hidden: true })));
    this.tip = this.areas[0].appendChild(make("div", { className: "tip", hidden: true, "aria-hidden": "true" }));
    const area = this.areas[0];
    const slider = { role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": 1, "aria-valuemax": count };
    for (const [name, value] of Object.entries(slider)) area.setAttribute(name, value);
    this.tell();
    for (const each of this.areas) {
      each.addEventListener("pointermove", (event) => this.show(this.at(each, event.clientX)));
      each.addEventListener("pointerdown", (event) => this.show(this.at(each, event.clientX)));
      each.addEventListener("pointerleave", () => document.activeElement === area || this.hide());
      each.addEventListener("click", () => chosen(this.index));
    }
    area.addEventListener("focus", () => this.show(this.index));
    area.addEventListener("blur", () => this.hide());
    area.addEventListener("keydown", (event) => this.key(event, chosen));
  }

  at(area, x) {
    const box = area.getBoundingClientRect();
    return this.from + Math.floor(((x - box.left) / box.width) * this.size);
  }

  key(event, chosen) {
    const leap = Math.max(1, Math.round(this.count / 20)), end = this.count - 1;
    const target = {
      ArrowRight: this.index + 1, ArrowUp: this.index + 1, ArrowLeft: this.index - 1, ArrowDown: this.index - 1,
      PageUp: this.index + leap, PageDown: this.index - leap, Home: 0, End: end,
    }[event.key];
    if (event.key === "Escape") this.hide();
    else if (event.key === "Enter") chosen(this.index);
    else if (target === undefined) return;
    else this.show(target);
    event.preventDefault();
  }

  show(wanted) {
    this.index = Math.min(Math.max(wanted, 0), this.count - 1);
    this.follow(this.index);
    this.seen = true;
    const at = (this.index - this.from + 0.5) / this.size;
    for (const cursor of this.cursors) {
      cursor.style.left = `${at * 100}%`;
      cursor.hidden = false;
    }
    const [title, ...lines] = this.tell();
    this.tip.replaceChildren(make("b", {}, title), ...lines.map((line) => make("div", {}, line)));
    this.tip.style.left = at < 0.5 ? `calc(${at * 100}% + .75rem)` : "auto";
    this.tip.style.right = at < 0.5 ? "auto" : `calc(${(1 - at) * 100}% + .75rem)`;
    this.tip.hidden = false;
  }

  hide() {
    this.tip.hidden = true;
    this.cursors.forEach((cursor) => { cursor.hidden = true; });
  }

  /** Lines about the current position; the slider says the same to a screen reader. */
  tell() {
    const lines = this.describe(this.index);
    this.areas[0].setAttribute("aria-valuenow", this.index + 1);
    this.areas[0].setAttribute("aria-valuetext", lines.join("; "));
    return lines;
  }
}

function heading(tensors, index) {
  const op = tensors.ops[index];
  return [shortened(tensors.names[index]), `tensor ${index + 1} of ${tensors.count}${op ? `, ${op}` : ""}`];
}

function errorOf(tensors, index) {
  const value = (key) => tensors.value(key, index);
  const accumulated = decibels(value(TENSOR.accumulatedSnr)), local = decibels(value(TENSOR.localSnr));
  const own = value(TENSOR.startsHere), broken = value(TENSOR.nonFinite);
  const lines = [...heading(tensors, index), `accumulated ${accumulated}, local ${local}`];
  if (own !== null) lines.push(`${share(own)} of its error is added by its own node`);
  if (Number(broken) > 0) lines.push(`NaN or Inf in ${plain(broken)} samples`);
  return lines;
}

function rangeOf(tensors, index) {
  const value = (key) => tensors.value(key, index);
  const smallest = value(TENSOR.smallest), least = smallest === null ? "" : `, smallest ${plain(smallest)}`;
  const lines = [...heading(tensors, index), `largest magnitude ${plain(value(TENSOR.largest))}${least}`];
  for (const [key, what] of [
    [TENSOR.overflow, "overflow"], [TENSOR.underflow, "become zero"], [TENSOR.subnormal, "are subnormal"],
  ]) {
    if (Number(value(key)) > 0) lines.push(`${plain(value(key))} elements ${what}`);
  }
  return lines;
}

/** The candidates' errors over each other: boxes to choose candidates, accumulated or local, values at a depth. */
class Comparison {
  constructor(figure) {
    this.figure = figure;
    this.metric = TENSOR.accumulatedSnr;
    this.keys = [...figure.querySelectorAll(".line-keys [data-line]")];
    this.chosen = new Set(this.keys.filter((key) => !key.hidden).map((key) => key.dataset.line));
    this.names = new Map(this.keys.map((key) => [key.dataset.line, key.textContent]));
    this.keys.forEach((key) => this.choosable(key));
    this.tensors = new Map();
    for (const index of this.names.keys()) {
      const entry = carried()[PAGE.candidates][index];
      if (entry[CANDIDATE.network] !== null) this.tensors.set(index, new Tensors(entry));
    }
    this.offerMetrics();
    const count = Math.max(1, ...[...this.tensors.values()].map((each) => each.count));
    this.probe = new Probe(figure, "Depth of the network", count, (index) => this.describe(index, count));
  }

  choosable(key) {
    const box = make("input", { type: "checkbox", checked: !key.hidden });
    const label = make("label", {}, box, ...key.childNodes);
    key.replaceChildren(label);
    key.hidden = false;
    box.addEventListener("change", () => {
      if (box.checked) this.chosen.add(key.dataset.line);
      else this.chosen.delete(key.dataset.line);
      this.draw();
      announce(`${this.chosen.size} of ${this.names.size} candidates are shown.`);
    });
  }

  offerMetrics() {
    const groups = [...this.figure.querySelectorAll("g[data-metric]")].map((group) => group.dataset.metric);
    if (groups.length < 2) return;
    const words = {
      [TENSOR.accumulatedSnr]: "accumulated error", [TENSOR.localSnr]: "local error: what each node adds",
    };
    const choices = groups.map((metric) => {
      const radio = make("input", { type: "radio", name: "metric", value: metric, checked: metric === this.metric });
      radio.addEventListener("change", () => {
        this.metric = metric;
        this.draw();
        announce(`The chart shows the ${words[metric]}.`);
      });
      return make("label", {}, radio, words[metric]);
    });
    const group = make("div", { className: "choices", role: "radiogroup", "aria-label": "Error" }, ...choices);
    this.figure.querySelector(".line-keys").after(group);
  }

  draw() {
    for (const group of this.figure.querySelectorAll("g[data-metric]")) {
      group.toggleAttribute("hidden", group.dataset.metric !== this.metric);
      for (const line of group.querySelectorAll("[data-line]")) line.toggleAttribute("hidden", !this.chosen.has(line.dataset.line));
    }
    this.probe.tell();
  }

  describe(index, count) {
    const at = (index + 0.5) / count;
    const lines = [];
    let name = "";
    for (const [line, tensors] of this.tensors) {
      if (!this.chosen.has(line)) continue;
      const here = Math.min(Math.floor(at * tensors.count), tensors.count - 1);
      name ||= shortened(tensors.names[here]);
      lines.push(`${this.names.get(line)} ${decibels(tensors.value(this.metric, here))}`);
    }
    return [name || "nothing is shown", `${Math.round(at * 100)} % of the depth`, ...lines];
  }
}

/** Brings a candidate's tables and charts to life, once, when it is first unfolded. */
function enliven(section) {
  if (section.open === false || section.dataset.alive) return;
  section.dataset.alive = "yes";
  const entry = carried()[PAGE.candidates][Number(section.dataset.candidate)];
  const layers = section.querySelector(".layers-view"), view = section.querySelector(".tensors-view");
  if (layers && entry[CANDIDATE.engine]) new EngineTable(layers, entry[CANDIDATE.engine]);
  if (!view || entry[CANDIDATE.network] === null) return;
  const tensors = new Tensors(entry), probes = [];
  const table = new TensorTable(view, tensors, (index) => probes.forEach((probe) => probe.show(index)));
  for (const [kind, label, describe] of [
    ["depth", "Tensor along the network", errorOf], ["range", "Range of a tensor along the network", rangeOf],
  ]) {
    const figure = section.querySelector(`.chart.${kind}`);
    if (!figure) continue;
    const probe = new Probe(figure, label, tensors.count, (index) => describe(tensors, index), (index) => table.reveal(index));
    if (figure.dataset.low) new Zoom(figure, tensors, probe);
    probes.push(probe);
  }
}

document.querySelectorAll("[data-candidate]").forEach((section) => {
  section.addEventListener("toggle", () => enliven(section));
  enliven(section);
});
document.querySelectorAll(".chart.compared").forEach((figure) => new Comparison(figure));
