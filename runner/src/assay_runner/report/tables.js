// Tables of thousands of rows, a page at a time: numbers live in typed arrays, the document holds one page of rows.

const ROWS = 25;

/** A table that sorts, filters and pages; what its rows are is for those who extend it. */
class PagedTable {
  constructor(view, count, noun, filterLabel) {
    this.count = count;
    this.noun = noun;
    this.table = view.querySelector("table");
    this.region = this.table.closest(".scroll");
    this.heads = [...this.table.tHead.rows[0].cells];
    this.keys = this.heads.map((head) => head.dataset.key);
    this.labels = this.heads.map((head) => head.textContent);
    this.text = "";
    this.page = 0;
    this.compare = (a, b) => a - b;
    this.box = filterBox(filterLabel, (text) => this.filter(text));
    this.counted = make("span", { className: "count" });
    this.back = this.stepper("Previous", -1);
    this.forth = this.stepper("Next", 1);
    this.controls = make("div", { className: "controls" }, this.box, this.counted, this.back, this.forth);
    view.prepend(this.controls);
    sortableHeads(this.heads, (position, ascending) => this.sort(this.keys[position], ascending));
  }

  /** What the server gives the cells of its rows: a narrow screen shows each as a card. */
  label(row) {
    row.setAttribute("role", "row");
    [...row.cells].forEach((cell, i) => {
      cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
      if (cell.tagName === "TD") cell.dataset.label = this.labels[i];
    });
  }

  stepper(label, step) {
    const button = make("button", { type: "button", className: "button" }, label);
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") === "true") return;
      this.page += step;
      this.draw();
      announce(this.counted.textContent);
    });
    return button;
  }

  filter(text) {
    this.text = text;
    this.arrange();
    announce(this.counted.textContent);
  }

  sort(key, ascending) {
    this.compare = this.order(key, ascending);
    this.arrange();
  }

  arrange() {
    const kept = [];
    for (let index = 0; index < this.count; index += 1) if (this.keeps(index)) kept.push(index);
    this.ordered = Uint32Array.from(kept).sort(this.compare);
    this.page = 0;
    this.draw();
  }

  /** Shows the page that holds a row, in the rows' own order, and marks it. */
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
    announce(`${this.name(index)} is shown in the table.`);
  }

  draw() {
    const total = this.ordered.length, first = this.page * ROWS, last = Math.min(first + ROWS, total);
    const rows = [...this.ordered.subarray(first, last)].map((index) => this.row(index));
    for (const row of rows) this.label(row);
    this.table.tBodies[0].replaceChildren(...rows);
    const range = total ? `${first + 1}–${last} of ${total} ${this.noun}s` : `No ${this.noun} matches`;
    this.counted.textContent = total < this.count && total ? `${range} (${this.count} in all)` : range;
    this.table.caption.textContent = this.caption;
    this.back.hidden = this.forth.hidden = total <= ROWS;
    this.back.setAttribute("aria-disabled", `${this.page === 0}`);
    this.forth.setAttribute("aria-disabled", `${last >= total}`);
  }
}

class TensorTable extends PagedTable {
  constructor(view, tensors, hovered) {
    super(view, tensors.count, "tensor", "Filter tensors by name, node or op");
    this.tensors = tensors;
    this.caption = "Tensors of the network";
    this.words = tensors.names.map((name, i) => `${name} ${tensors.ops[i]} ${tensors.nodes[i]}`.toLowerCase());
    this.compare = tensors.worstFirst();
    this.table.tBodies[0].addEventListener("pointerover", (event) => {
      const row = event.target.closest("tr");
      if (row && row.dataset.index) hovered(Number(row.dataset.index));
    });
    this.arrange();
  }

  keeps(index) {
    return this.words[index].includes(this.text);
  }

  name(index) {
    return shortened(this.tensors.names[index]);
  }

  order(key, ascending) {
    if (key === "index") return ascending ? (a, b) => a - b : (a, b) => b - a;
    if (key === TENSOR.name) return byTexts(this.tensors.names, ascending);
    return byNumbers(this.tensors.numbers(key), ascending);
  }

  row(index) {
    const made = this.tensors.made(index);
    const cells = this.keys.map((key) => {
      if (key === "index") return make("td", { className: "n" }, `${index + 1}`);
      if (key !== TENSOR.name) return this.cell(key, this.tensors.value(key, index));
      return make("th", { scope: "row" }, named(this.tensors.names[index]), made ? make("small", {}, made) : null);
    });
    return make("tr", { "data-index": index }, ...cells);
  }

  cell(key, raw) {
    const bad = [TENSOR.nonFinite, TENSOR.overflow].includes(key) && Number(raw) > 0;
    return make("td", { className: "n" }, bad ? make("strong", { className: "beyond" }, `✘ ${plain(raw)}`) : shown(key, raw));
  }
}

/** The layers of an engine, in the order they run; a choice of precision beside the search box. */
class EngineTable extends PagedTable {
  constructor(view, columns) {
    const decoded = Object.fromEntries(Object.entries(columns).map(([key, column]) => [key, texts(column)]));
    super(view, decoded[LAYER.name].length, "layer", "Filter layers by name, type, tensor, tactic or node");
    this.columns = decoded;
    this.caption = "Layers of the engine, in the order they run";
    this.words = decoded[LAYER.name].map((_, i) => Object.values(decoded).map((column) => column[i]).join(" ").toLowerCase());
    this.precision = "";
    if (decoded[LAYER.precision]) this.box.after(this.choice(decoded[LAYER.precision]));
    this.arrange();
  }

  choice(precisions) {
    const counts = new Map();
    for (const each of precisions) counts.set(each, (counts.get(each) ?? 0) + 1);
    const options = [...counts].sort((a, b) => b[1] - a[1]).filter(([each]) => each !== "");
    const select = make(
      "select", { "aria-label": "Precision" },
      make("option", { value: "" }, "every precision"),
      ...options.map(([each, count]) => make("option", { value: each }, `${each} (${count})`)),
    );
    select.addEventListener("change", () => {
      this.precision = select.value;
      this.filter(this.text);
    });
    return select;
  }

  keeps(index) {
    const wanted = this.precision === "" || this.columns[LAYER.precision][index] === this.precision;
    return wanted && this.words[index].includes(this.text);
  }

  name(index) {
    return shortened(this.columns[LAYER.name][index]);
  }

  order(key, ascending) {
    if (key === "index") return ascending ? (a, b) => a - b : (a, b) => b - a;
    return byTexts(this.columns[key], ascending);
  }

  row(index) {
    const cells = this.keys.map((key) => {
      if (key === "index") return make("td", { className: "n" }, `${index + 1}`);
      if (key === LAYER.name) return make("th", { scope: "row" }, named(this.columns[LAYER.name][index]));
      const text = this.columns[key][index], lists = [LAYER.inputs, LAYER.outputs, LAYER.nodes].includes(key);
      const short = lists ? listed(text) : shortened(text), long = lists || key === LAYER.tactic ? "long" : "";
      return make("td", { className: long, ...(short === text ? {} : { title: text }) }, short);
    });
    return make("tr", { "data-index": index }, ...cells);
  }
}
