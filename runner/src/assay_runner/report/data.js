// What the page carries for its scripts, and how it is written: as the rest of the page writes it. Its fields are read
// by the names of names.js alone, which are those of the types.

let parsed = null;

/** The data the page carries, parsed when it is first needed. */
function carried() {
  parsed ??= JSON.parse(document.getElementById("report").textContent);
  return parsed;
}

/** A column of texts; one in which most repeat is carried as its different words and where each stands. */
function texts(column) {
  return Array.isArray(column) ? column : column[WORDS.at].map((place) => column[WORDS.words][place]);
}

/** A number as the rest of the page writes it; `raw` may be "NaN" or "Infinity". */
function plain(raw, digits = 3) {
  if (raw === undefined || raw === null) return "–";
  const value = Number(raw);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const size = Math.abs(value);
  if (size < 1e6 && (Number.isInteger(value) || size >= 10 ** digits)) {
    const whole = value.toFixed(0);
    return size >= 1e4 ? whole.replace(/\B(?=(\d{3})+$)/g, ",") : whole;
  }
  const text = size < 1e-4 || size >= 1e6 ? value.toExponential(digits - 1) : value.toPrecision(digits);
  return text.replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "").replace("e+", "e");
}

/** A name; where it is very long, its middle is left out, as in the rest of the page. */
function shortened(name, width = 120) {
  const head = Math.floor((width - 1) / 3);
  return name.length > width ? `${name.slice(0, head)}…${name.slice(head + 1 - width)}` : name;
}

/** The first of many tensors or nodes, each shortened by itself. */
function listed(text) {
  const items = text.split(", "), more = items.length > 4 ? ` and ${items.length - 4} more` : "";
  return items.slice(0, 4).map((item) => shortened(item, 48)).join(", ") + more;
}

function named(name) {
  const short = shortened(name);
  return make("code", short === name ? {} : { title: name }, short);
}

function finite(raw) {
  return raw !== undefined && raw !== null && Number.isFinite(Number(raw));
}

function decibels(raw) {
  return finite(raw) ? `${Number(raw).toFixed(1)} dB` : plain(raw);
}

function share(raw) {
  return finite(raw) ? `${(Number(raw) * 100).toFixed(1)} %` : plain(raw);
}

const DECIBELS = [TENSOR.localSnr, TENSOR.accumulatedSnr], ENDS = [TENSOR.min, TENSOR.max, TENSOR.smallest];

function shown(key, raw) {
  if (DECIBELS.includes(key)) return decibels(raw);
  if (ENDS.includes(key) && !finite(raw)) return "–";
  return key === TENSOR.startsHere ? share(raw) : plain(raw);
}

/** The tensors of a candidate, column by column. */
class Tensors {
  constructor(entry) {
    const network = carried()[PAGE.networks][entry[CANDIDATE.network]];
    this.names = texts(network[NETWORK.name]);
    this.ops = texts(network[NETWORK.op]);
    this.nodes = texts(network[NETWORK.node]);
    this.columns = entry[CANDIDATE.tensors];
    this.count = this.names.length;
  }

  /** What was measured of a tensor; null where nothing was. */
  value(key, index) {
    return this.columns[key]?.[index] ?? null;
  }

  made(index) {
    return [this.ops[index], this.nodes[index]].filter(Boolean).join(" · ");
  }

  /** A column as numbers to sort by: NaN where nothing was measured; a measured NaN is the worst there can be. */
  numbers(key) {
    const worst = DECIBELS.includes(key) ? -Infinity : Infinity;
    return Float64Array.from({ length: this.count }, (_, index) => {
      const raw = this.value(key, index);
      return raw === null ? NaN : raw === "NaN" ? worst : Number(raw);
    });
  }

  /** NaN or Inf first in order of depth, then the noise of the node itself, then all noise. */
  worstFirst() {
    const broken = this.numbers(TENSOR.nonFinite);
    const local = this.numbers(TENSOR.localSnr), all = this.numbers(TENSOR.accumulatedSnr);
    const order = (snr, a, b) => Number.isNaN(snr[a]) - Number.isNaN(snr[b]) || snr[a] - snr[b] || 0;
    return (a, b) => {
      if (broken[a] > 0 || broken[b] > 0) return (broken[b] > 0) - (broken[a] > 0) || a - b;
      return order(local, a, b) || order(all, a, b) || a - b;
    };
  }
}

/** Orders rows by numbers; missing ones last, equal ones in their own order. */
function byNumbers(values, ascending) {
  const sign = ascending ? 1 : -1;
  return (a, b) => Number.isNaN(values[a]) - Number.isNaN(values[b]) || sign * (values[a] - values[b]) || a - b;
}

/** Orders rows by texts: each different text is compared once, whatever the number of rows. */
function byTexts(values, ascending) {
  const ranks = new Map([...new Set(values)].sort(words.compare).map((text, rank) => [text, rank]));
  return byNumbers(Float64Array.from(values, (text) => (text === "" ? NaN : ranks.get(text))), ascending);
}
