// A part of a deep network, drawn from what the page carries as the whole of it was drawn on the server.

const WIDTH = 1000, HEIGHT = 240, BARS = 60, DENSE = 250, CLOSEST = 20, FEW_EXACT = 2;

/** Where `count` positions from `from` on are cut into columns: pairs of first position and end. */
function columnsOf(from, count) {
  const columns = Math.min(count, DENSE);
  const edge = (i) => from + Math.round((i * count) / columns);
  return Array.from({ length: columns }, (_, i) => [edge(i), edge(i + 1)]);
}

/** The numbers of a column that can be drawn; what is NaN, negative infinity or not measured breaks a line. */
function drawable(values, [first, end], leftOut = new Set()) {
  const given = values.slice(first, end).filter((raw, i) => raw !== null && raw !== undefined && !leftOut.has(first + i));
  return given.map(Number).filter((value) => !Number.isNaN(value) && value !== -Infinity);
}

/** Positions of very few tensors in a row without any error between others that have one: lines pass them over. */
function spikes(values) {
  const few = Math.max(FEW_EXACT, Math.floor(values.length / 100)), found = new Set();
  for (let i = 0; i < values.length; i += 1) {
    const first = i;
    while (i < values.length && values[i] !== null && Number(values[i]) === Infinity) i += 1;
    if (i > first && i - first <= few) for (let k = first; k < i; k += 1) found.add(k);
  }
  const given = values.filter((raw) => raw !== null && raw !== undefined).length;
  return found.size < given ? found : new Set();
}

/** The middle one of some numbers; of two the smaller. */
function median(...given) {
  return given.sort((a, b) => a - b)[Math.floor((given.length - 1) / 2)];
}

/** A path through points, in unbroken runs; null breaks it. */
function through(points) {
  let path = "", open = false;
  points.forEach((point, i) => {
    if (point && !open && !points[i + 1]) path += `M${(point[0] - 1).toFixed(1)} ${point[1].toFixed(1)}h2`;
    else if (point) path += `${open ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
    open = Boolean(point);
  });
  return path;
}

/** Buttons that show a part of the network; the slider's keys go through all of it, and the part follows. */
class Zoom {
  constructor(figure, tensors, probe) {
    this.figure = figure;
    this.probe = probe;
    this.count = tensors.count;
    this.columns = Object.fromEntries(
      [TENSOR.accumulatedSnr, TENSOR.localSnr, TENSOR.startsHere, TENSOR.nonFinite].map((key) => [
        key, Array.from({ length: tensors.count }, (_, i) => tensors.value(key, i)),
      ]),
    );
    this.leftOut = Object.fromEntries(Object.entries(this.columns).map(([key, values]) => [key, spikes(values)]));
    this.said = make("span", { role: "status" });
    const button = (text, label, work) => {
      const made = make("button", { type: "button", className: "button", "aria-label": label }, text);
      made.addEventListener("click", work);
      return made;
    };
    this.buttons = [
      button("+", "Zoom in", () => this.by(0.25)), button("−", "Zoom out", () => this.by(4)),
      button("◀", "Earlier part", () => this.shift(-0.5)), button("▶", "Later part", () => this.shift(0.5)),
      button("Whole network", "Whole network", () => this.to(0, this.count)),
    ];
    const group = { className: "zoom", role: "group", "aria-label": "Part of the network" };
    this.ends = [...figure.querySelectorAll(".axis span")].map((end) => [end, end.textContent]);
    figure.append(make("div", group, ...this.buttons, this.said));
    probe.follow = (index) => this.follow(index);
    this.to(0, this.count);
  }

  by(factor) {
    const size = Math.min(this.count, Math.max(CLOSEST, Math.round(this.size * factor)));
    const middle = this.probe.seen ? this.probe.index : this.from + this.size / 2;
    this.to(Math.round(middle - size / 2), size);
  }

  shift(share) {
    this.to(this.from + Math.round(this.size * share), this.size);
  }

  follow(index) {
    if (index < this.from || index >= this.from + this.size) this.to(index - Math.floor(this.size / 2), this.size);
  }

  to(from, size) {
    this.size = size;
    this.from = Math.min(Math.max(from, 0), this.count - size);
    Object.assign(this.probe, { from: this.from, size });
    const [nearer, wider, earlier, later, whole] = this.buttons;
    nearer.disabled = size <= Math.min(CLOSEST, this.count);
    wider.disabled = whole.disabled = size === this.count;
    earlier.disabled = this.from === 0;
    later.disabled = this.from + size === this.count;
    this.said.textContent = `tensors ${plain(this.from + 1)} to ${plain(this.from + size)} of ${plain(this.count)}`;
    const last = this.from + size, sides = ["input", "", "output"];
    if (this.from > 0) sides[0] = `tensor ${plain(this.from + 1)}`;
    if (last < this.count) sides[2] = `tensor ${plain(last)}`;
    this.ends.forEach(([end, whole], i) => { end.textContent = size === this.count ? whole : sides[i]; });
    this.probe.hide();
    this.draw();
  }

  draw() {
    const low = Number(this.figure.dataset.low), high = Number(this.figure.dataset.high);
    const columns = columnsOf(this.from, this.size), wide = WIDTH / columns.length;
    const y = (value) => HEIGHT * (1 - (Math.min(Math.max(value, low), high) - low) / (high - low));
    const points = (key, choose) => columns.flatMap((column, i) => {
      const given = drawable(this.columns[key], column, this.leftOut[key]);
      if (given.length) return [[(i + 0.5) * wide, y(choose(...given))]];
      for (let k = column[0]; k < column[1]; k += 1) if (!this.leftOut[key].has(k)) return [null];
      return [];
    });
    const set = (kind, path) => this.figure.querySelector(`.drawing .${kind}`)?.setAttribute("d", path);
    const accumulated = (choose) => points(TENSOR.accumulatedSnr, choose);
    set("accumulated", through(accumulated(median)));
    set("local", through(points(TENSOR.localSnr, median)));
    set("band", this.size > columns.length ? this.band(accumulated(Math.max), accumulated(Math.min)) : "");
    set("starts", this.bars(columns, wide));
    const broken = columns.map((column, i) => (drawable(this.columns[TENSOR.nonFinite], column).some(Boolean) ? i : -1));
    const stroke = Math.max(wide, 2.5).toFixed(1);
    set("broken", broken.filter((i) => i >= 0).map((i) => `M${(i * wide).toFixed(1)} 0h${stroke}v${HEIGHT}h-${stroke}z`).join(""));
  }

  band(tops, bottoms) {
    let path = "";
    for (let i = 0; i < tops.length; i += 1) {
      const first = i;
      while (i < tops.length && tops[i]) i += 1;
      if (i - first < 2) continue;
      const around = [...tops.slice(first, i), ...bottoms.slice(first, i).reverse()];
      path += `M${around.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}z`;
    }
    return path;
  }

  bars(columns, wide) {
    const top = Number(this.figure.dataset.top);
    return columns.map((column, i) => {
      const most = Math.max(0, ...drawable(this.columns[TENSOR.startsHere], column).filter(Number.isFinite));
      if (!most) return "";
      const peak = (BARS * (1 - Math.min(most / top, 1))).toFixed(2);
      return `M${(i * wide + wide * 0.1).toFixed(2)} ${BARS}h${(wide * 0.8).toFixed(2)}V${peak}h-${(wide * 0.8).toFixed(2)}z`;
    }).join("");
  }
}
