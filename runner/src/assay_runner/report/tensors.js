// The layers of each candidate: charts that answer to pointer and keys, and a table of all tensors, a page at a time.
// A network may have thousands of tensors: numbers live in typed arrays, and the document holds one page of rows.

const ROWS = 25;
let parsed = null;

/** The report the page carries, parsed when it is first needed. */
function report() {
  parsed ??= JSON.parse(document.getElementById("report").textContent);
  return parsed;
}

/** A number as the rest of the page writes it; `raw` may be "NaN" or "Infinity". */
function plain(raw, digits = 3) {
  if (raw === undefined || raw === null) return "–";
  const value = Number(raw);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const size = Math.abs(value);
  if (size < 1e6 && (Number.isInteger(value) || size >= 10 ** digits)) return value.toFixed(0);
  const text = size < 1e-4 || size >= 1e6 ? value.toExponential(digits - 1) : value.toPrecision(digits);
  return text.replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "").replace("e+", "e");
}

/** The tensor's name; where it is very long, its middle is left out, as in the rest of the page. */
function shortened(layer) {
  const name = `${layer.name ?? "unnamed"}`;
  return name.length > 120 ? `${name.slice(0, 39)}…${name.slice(-80)}` : name;
}

function named(layer) {
  const name = shortened(layer);
  return make("code", name === `${layer.name ?? "unnamed"}` ? {} : { title: layer.name }, name);
}

function decibels(raw) {
  return Number.isFinite(Number(raw ?? NaN)) ? `${Number(raw).toFixed(1)} dB` : plain(raw);
}

function share(raw) {
  return Number.isFinite(Number(raw ?? NaN)) ? `${(Number(raw) * 100).toFixed(1)} %` : plain(raw);
}

function shown(key, raw) {
  if (key.endsWith("Snr")) return decibels(raw);
  if ((key === "min" || key === "max") && !Number.isFinite(Number(raw ?? NaN))) return "–";
  return key === "startsHere" ? share(raw) : plain(raw);
}

/** A column as numbers to sort by: NaN where nothing was measured; a measured NaN is the worst there can be. */
function column(layers, key) {
  const worst = key.endsWith("Snr") ? -Infinity : Infinity;
  return Float64Array.from(layers, (layer, index) => {
    if (key === "index") return index;
    if (layer[key] === undefined) return NaN;
    const value = Number(layer[key]);
    return Number.isNaN(value) ? worst : value;
  });
}

/** The order of the page's table: NaN or Inf first in order of depth, then the noise of the node itself, then all noise. */
function worstFirst(layers) {
  const broken = column(layers, "nonFinite"), local = column(layers, "localSnr"), all = column(layers, "accumulatedSnr");
  const order = (snr, a, b) => Number.isNaN(snr[a]) - Number.isNaN(snr[b]) || snr[a] - snr[b] || 0;
  return (a, b) => {
    if (broken[a] > 0 || broken[b] > 0) return (broken[b] > 0) - (broken[a] > 0) || a - b;
    return order(local, a, b) || order(all, a, b) || a - b;
  };
}

/** Missing values last, equal ones in order of depth. */
function byColumn(layers, key, ascending) {
  if (key === "name") {
    const order = (a, b) => words.compare(`${layers[a].name}`, `${layers[b].name}`);
    return ascending ? order : (a, b) => order(b, a);
  }
  const values = column(layers, key), sign = ascending ? 1 : -1;
  return (a, b) => Number.isNaN(values[a]) - Number.isNaN(values[b]) || sign * (values[a] - values[b]) || a - b;
}

class TensorTable {
  constructor(view, layers, hovered) {
    this.layers = layers;
    this.words = layers.map((layer) => `${layer.name} ${layer.op ?? ""} ${layer.node ?? ""}`.toLowerCase());
    this.table = view.querySelector("table");
    this.heads = [...this.table.tHead.rows[0].cells];
    this.keys = this.heads.map((head) => head.dataset.key);
    this.text = "";
    this.page = 0;
    this.compare = worstFirst(layers);
    this.box = filterBox("Filter tensors by name, node or op", (text) => this.filter(text));
    this.count = make("span", { className: "count" });
    this.back = this.stepper("Previous", -1);
    this.forth = this.stepper("Next", 1);
    view.prepend(make("div", { className: "controls" }, this.box, this.count, this.back, this.forth));
    sortableHeads(this.heads, (position, ascending) => this.sort(this.keys[position], ascending));
    this.table.tBodies[0].addEventListener("pointerover", (event) => {
      const row = event.target.closest("tr");
      if (row && row.dataset.index) hovered(Number(row.dataset.index));
    });
    this.arrange();
  }

  stepper(label, step) {
    const button = make("button", { type: "button", className: "button" }, label);
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") === "true") return;
      this.page += step;
      this.draw();
      announce(this.count.textContent);
    });
    return button;
  }

  filter(text) {
    this.text = text;
    this.arrange();
    announce(this.count.textContent);
  }

  sort(key, ascending) {
    this.compare = byColumn(this.layers, key, ascending);
    this.arrange();
  }

  arrange() {
    const kept = this.layers.map((_, index) => index).filter((index) => this.words[index].includes(this.text));
    this.order = Uint32Array.from(kept).sort(this.compare);
    this.page = 0;
    this.draw();
  }

  /** Shows the page that holds a tensor, in order of depth, and marks its row. */
  reveal(index) {
    this.box.value = this.text = "";
    this.heads.forEach((head) => head.removeAttribute("aria-sort"));
    this.heads[this.keys.indexOf("index")].setAttribute("aria-sort", "ascending");
    this.sort("index", true);
    this.page = Math.floor(index / ROWS);
    this.draw();
    const row = this.table.tBodies[0].rows[index % ROWS];
    row.classList.add("marked");
    row.scrollIntoView({ block: "nearest" });
  }

  draw() {
    const total = this.order.length, first = this.page * ROWS, last = Math.min(first + ROWS, total);
    this.table.tBodies[0].replaceChildren(...[...this.order.subarray(first, last)].map((index) => this.row(index)));
    const range = total ? `${first + 1}–${last} of ${total} tensors` : "No tensor matches";
    this.count.textContent = total < this.layers.length && total ? `${range} (${this.layers.length} in all)` : range;
    this.table.caption.textContent = "Tensors of the network";
    this.back.hidden = this.forth.hidden = total <= ROWS;
    this.back.setAttribute("aria-disabled", `${this.page === 0}`);
    this.forth.setAttribute("aria-disabled", `${last >= total}`);
  }

  row(index) {
    const layer = this.layers[index];
    const made = [layer.op, layer.node].filter(Boolean).join(" · ");
    const cells = this.keys.map((key) => {
      if (key === "index") return make("td", { className: "n" }, `${index + 1}`);
      if (key !== "name") return this.cell(key, layer[key]);
      return make("th", { scope: "row" }, named(layer), made ? make("small", {}, made) : null);
    });
    return make("tr", { "data-index": index }, ...cells);
  }

  cell(key, raw) {
    const bad = key === "nonFinite" && Number(raw) > 0;
    return make("td", { className: "n" }, bad ? make("strong", { className: "beyond" }, `✘ ${plain(raw)}`) : shown(key, raw));
  }
}

class Chart {
  constructor(figure, layers, chosen) {
    this.layers = layers;
    this.areas = [...figure.querySelectorAll(".area")];
    this.cursors = this.areas.map((area) => area.appendChild(make("div", { className: "cursor", hidden: true })));
    this.tip = this.areas[0].appendChild(make("div", { className: "tip", hidden: true, "aria-hidden": "true" }));
    this.index = 0;
    const area = this.areas[0];
    const range = { role: "slider", tabindex: 0, "aria-label": "Tensor along the network", "aria-valuemin": 1, "aria-valuemax": layers.length };
    for (const [name, value] of Object.entries(range)) area.setAttribute(name, value);
    this.describe();
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
    return Math.floor(((x - box.left) / box.width) * this.layers.length);
  }

  key(event, chosen) {
    const leap = Math.max(1, Math.round(this.layers.length / 20)), end = this.layers.length - 1;
    const target = {
      ArrowRight: this.index + 1, ArrowUp: this.index + 1, ArrowLeft: this.index - 1, ArrowDown: this.index - 1,
      PageUp: this.index + leap, PageDown: this.index - leap, Home: 0, End: end,
    }[event.key];
    if (event.key === "Enter") chosen(this.index);
    else if (target === undefined) return;
    else this.show(target);
    event.preventDefault();
  }

  show(wanted) {
    this.index = Math.min(Math.max(wanted, 0), this.layers.length - 1);
    const at = (this.index + 0.5) / this.layers.length;
    for (const cursor of this.cursors) {
      cursor.style.left = `${at * 100}%`;
      cursor.hidden = false;
    }
    const [title, ...lines] = this.describe();
    this.tip.replaceChildren(make("b", {}, title), ...lines.map((line) => make("div", {}, line)));
    this.tip.style.left = at < 0.5 ? `calc(${at * 100}% + .75rem)` : "auto";
    this.tip.style.right = at < 0.5 ? "auto" : `calc(${(1 - at) * 100}% + .75rem)`;
    this.tip.hidden = false;
  }

  hide() {
    this.tip.hidden = true;
    this.cursors.forEach((cursor) => { cursor.hidden = true; });
  }

  /** Lines about the current tensor; the slider says the same to a screen reader. */
  describe() {
    const layer = this.layers[this.index];
    const lines = [
      shortened(layer),
      `tensor ${this.index + 1} of ${this.layers.length}${layer.op ? `, ${layer.op}` : ""}`,
      `accumulated ${decibels(layer.accumulatedSnr)}, local ${decibels(layer.localSnr)}`,
    ];
    if (layer.startsHere !== undefined) lines.push(`${share(layer.startsHere)} of its error is added by its own node`);
    if (Number(layer.nonFinite) > 0) lines.push(`NaN or Inf in ${plain(layer.nonFinite)} samples`);
    this.areas[0].setAttribute("aria-valuenow", this.index + 1);
    this.areas[0].setAttribute("aria-valuetext", lines.join("; "));
    return lines;
  }
}

/** Brings a candidate's layers to life, once, when it is first unfolded. */
function enliven(section) {
  const view = section.querySelector(".tensors-view"), figure = section.querySelector(".chart");
  if (!section.open || !view || section.dataset.alive) return;
  section.dataset.alive = "yes";
  const layers = report().candidates[Number(section.dataset.candidate)].layers;
  const parts = {};
  parts.table = new TensorTable(view, layers, (index) => parts.chart && parts.chart.show(index));
  if (figure) parts.chart = new Chart(figure, layers, (index) => parts.table.reveal(index));
}

document.querySelectorAll("details.candidate").forEach((section) => {
  section.addEventListener("toggle", () => enliven(section));
  enliven(section);
});
