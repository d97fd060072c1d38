// What scripts add to a page that is whole without them: sorting, filtering, copying, folding.
"use strict";

const live = document.getElementById("live");
const words = new Intl.Collator(undefined, { numeric: true });

/** Tells a screen reader what has just happened. */
function announce(text) {
  live.textContent = text;
}

/** An element with properties and children; text is always text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Puts a button into every heading; `sort(position, ascending)` is called when one is pressed. */
function sortableHeads(heads, sort) {
  heads.forEach((head, position) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(position, ascending);
      announce(`Sorted by ${button.textContent}, ${ascending ? "ascending" : "descending"}.`);
    });
  });
}

/** Orders two sort keys; what was not measured ("") comes last whichever way the rest goes. */
function compareKeys(a, b, numeric, ascending) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const order = numeric ? asNumber(a) - asNumber(b) || 0 : words.compare(a, b);
  return ascending ? order : -order;
}

function asNumber(text) {
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
}

function sortableTable(table) {
  const body = table.tBodies[0];
  sortableHeads([...table.tHead.rows[0].cells], (position, ascending) => {
    const keyed = [...body.rows].map((row) => [row.cells[position].dataset.sort, row]);
    const numeric = keyed.every(([key]) => key === "" || !Number.isNaN(asNumber(key)));
    keyed.sort((a, b) => compareKeys(a[0], b[0], numeric, ascending));
    body.append(...keyed.map(([, row]) => row));
  });
}

/** A labelled search box that calls `changed(text)` a moment after typing. */
function filterBox(label, changed) {
  const box = make("input", { type: "search", placeholder: label, "aria-label": label, spellcheck: false });
  let waiting = 0;
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => changed(box.value.trim().toLowerCase()), 80);
  });
  return box;
}

function filterableList(list) {
  const items = [...list.children].map((item) => [item, item.textContent.toLowerCase()]);
  const count = make("span", { className: "count" }, `${items.length} findings`);
  const box = filterBox("Filter findings", (text) => {
    let shown = 0;
    for (const [item, content] of items) {
      item.hidden = !content.includes(text);
      shown += !item.hidden;
    }
    count.textContent = `${shown} of ${items.length} findings`;
    announce(count.textContent);
  });
  list.before(make("div", { className: "controls" }, box, count));
}

function copyButton(holder) {
  const source = holder.querySelector("code");
  const button = make("button", { type: "button", className: "button" }, "Copy");
  button.addEventListener("click", async () => {
    const copied = await copyText(source);
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
    announce(button.textContent);
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  holder.append(button);
}

/** Copies an element's text; where the page may not, selects it for the person to copy. */
async function copyText(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}

/** Unfolds whatever holds the address's target, so that a link never leads to something hidden. */
function unfoldTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  if (target) target.scrollIntoView();
}

function unfoldForPrint() {
  const folded = [];
  addEventListener("beforeprint", () => {
    folded.push(...document.querySelectorAll("details.candidate:not([open])"));
    folded.forEach((fold) => { fold.open = true; });
  });
  addEventListener("afterprint", () => folded.splice(0).forEach((fold) => { fold.open = false; }));
}

document.querySelectorAll("table.sortable").forEach(sortableTable);
document.querySelectorAll(".findings[data-filterable]").forEach(filterableList);
document.querySelectorAll(".copyable").forEach(copyButton);
addEventListener("hashchange", unfoldTarget);
unfoldForPrint();
if (location.hash) unfoldTarget();
