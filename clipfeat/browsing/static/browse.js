/* The page of `clipfeat app`: it sends the query to the server and shows the answer. */

import { $, element, Failed, post, reason, sleep } from "/static/web/page.js";
import { Grid } from "./grid.js";
import { FeatureMap } from "./map.js";

const POLL = 0.5;
const N_COLOURS = 9;

const form = $("view");
const panel = $("panel");
const state = { brush: null, found: [], similarities: new Map(), foundFor: "" };
let request = 0;

/* Requests */

/** Ask the server. While the result is being computed, ask again and call `waiting`. */
async function ask(path, options = {}, waiting = () => {}, isCurrent = () => true) {
  for (;;) {
    const answer = await fetch(path, options);
    if (answer.status !== 202) {
      if (!answer.ok) throw new Failed(await reason(answer));
      return answer;
    }
    waiting();
    await sleep(POLL);
    if (!isCurrent()) return null;
  }
}

function report(error) {
  $("message").textContent = error instanceof Failed ? `${error.message}.` : "The server does not answer.";
  $("message").hidden = false;
  if (!(error instanceof Failed)) console.warn(error);
}

/* Query */

function query() {
  const where = {};
  for (const box of $("filters").querySelectorAll("input:checked")) {
    (where[box.name] ||= []).push(box.value);
  }
  return {
    show: form.show.value, order: form.order.value, entry: form.entry.value, where,
    path: form.path.value, brush: state.brush && { map: $("map-name").value, ...state.brush },
    rows: form.show.value === "search" ? state.found : [],
  };
}

async function refresh(stay = false) {
  const number = ++request;
  const isCurrent = () => number === request;
  const asked = query();
  const total = Number(form.dataset.total);
  $("message").hidden = true;
  $("reset").hidden = !(Object.keys(asked.where).length || asked.path || asked.brush || asked.show !== "all");
  $("clear-brush").hidden = !asked.brush;
  $("grid").setAttribute("aria-busy", "true");
  const waiting = () => { $("count").textContent = "Searching all images…"; };
  try {
    const answer = await ask("/rows", post(asked), waiting, isCurrent);
    if (!answer || !isCurrent()) return;
    const rows = new Uint32Array(await answer.arrayBuffer());
    if (!isCurrent()) return;
    const n = rows.length.toLocaleString("en");
    $("count").textContent = rows.length === total ? `${n} images` : `${n} of ${total.toLocaleString("en")} images`;
    grid.setRows(rows, asked.show === "search" ? state.similarities : new Map(), stay);
    map.setRows(rows);
    await describe(asked, isCurrent);
  } catch (error) {
    if (isCurrent()) report(error);
  } finally {
    if (isCurrent()) $("grid").removeAttribute("aria-busy");
  }
}

/** Show the sentences about a list, or what was searched for. */
async function describe(asked, isCurrent) {
  let sentences = [];
  if (asked.show === "search") sentences = [`Nearest to ${state.foundFor}, with the cosine similarity of the features.`];
  else if (!["all", "errors"].includes(asked.show)) {
    const entry = encodeURIComponent(asked.entry);
    const answer = await ask(`/list/${asked.show}?entry=${entry}`, {}, undefined, isCurrent);
    if (!answer) return;
    sentences = (await answer.json()).sentences;
  }
  if (!isCurrent()) return;
  $("about").replaceChildren(...sentences.map((text) => element("p", text)));
  $("about").hidden = !sentences.length;
}

/** Whether a decision about a label may change which images a query shows. */
function dependsOnLabels({ show, order, where }) {
  return !["all", "search"].includes(show) || order !== "listed" || "class" in where || "outcome" in where;
}

/* Grid, panel and map */

const grid = new Grid($("grid"), {
  async details(rows) {
    try {
      return await (await ask("/details", post({ query: query(), rows }))).json();
    } catch (error) {
      report(error);
      return null;
    }
  },
  thumbnail: (row) => `/thumbnail/${row}?v=${form.dataset.version}`,
  open: (row) => openPanel(row),
  activate: (row) => { map.mark(row); if (!panel.hidden) openPanel(row); },
});

const map = new FeatureMap($("points"), $("brush"), {
  brush(rectangle) { state.brush = rectangle; refresh(); },
  pick(row) { grid.activateRow(row); openPanel(row, false); },
});

async function openPanel(row, scroll = true) {
  panel.dataset.row = row;
  map.mark(row);
  try {
    const answer = await ask(`/panel/${row}?entry=${encodeURIComponent(form.entry.value)}`);
    const text = await answer.text();
    if (panel.dataset.row !== String(row)) return;
    panel.innerHTML = text; // rendered and escaped by the server
    panel.hidden = false;
    if (scroll) panel.scrollIntoView({ block: "nearest" });
  } catch (error) {
    report(error);
  }
}

function closePanel() {
  panel.hidden = true;
  panel.replaceChildren();
  delete panel.dataset.row;
  map.mark(null);
  $("grid").focus();
}

panel.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button?.dataset.action === "close") closePanel();
  if (button?.dataset.action === "similar") {
    search(`/similar/${button.dataset.row}`, {}, panel.querySelector("h2").textContent);
  }
});

async function loadMap() {
  const name = $("map-name").value;
  const isCurrent = () => name === $("map-name").value;
  const status = $("map-status");
  status.textContent = name === "umap" ? "UMAP is being computed. This may take minutes…" : "The map is being computed…";
  status.hidden = false;
  try {
    const answer = await ask(`/map/${name}`, {}, undefined, isCurrent);
    if (!answer || !isCurrent()) return;
    map.setPoints(new Uint16Array(await answer.arrayBuffer()));
    status.hidden = true;
  } catch (error) {
    if (isCurrent()) status.textContent = error.message;
  }
}

/** Colour the map by a facet: the most frequent values get a colour, all others are grey. */
async function loadColours() {
  const key = $("map-colour").value;
  const facet = [...$("filters").querySelectorAll(".facet")].find((one) => one.dataset.key === key);
  if (!facet) return;
  const entry = encodeURIComponent(form.entry.value);
  const answer = await ask(`/codes?facet=${encodeURIComponent(key)}&entry=${entry}`);
  const codes = new Uint16Array(await answer.arrayBuffer());
  const values = [...facet.querySelectorAll("input")].map((box) => box.value);
  const counts = new Array(values.length).fill(0);
  for (const code of codes) counts[code] += 1;
  const ranked = [...values.keys()].sort((a, b) => counts[b] - counts[a]);
  const coloured = ranked.slice(0, N_COLOURS).sort((a, b) => a - b);
  const colours = values.map((_, code) => {
    const place = coloured.indexOf(code);
    return place < 0 ? "" : `--colour-${place + 1}`;
  });
  const items = coloured.filter((code) => counts[code]).map((code) => legendItem(values[code], colours[code]));
  if (values.length > N_COLOURS) items.push(legendItem("others", ""));
  $("legend").replaceChildren(...items);
  map.setColours(codes, colours);
}

function legendItem(text, colour) {
  const item = element("li", text);
  const mark = document.createElement("span");
  mark.className = "swatch";
  mark.style.background = `var(${colour || "--muted"})`;
  item.prepend(mark);
  return item;
}

function listColours() {
  const chosen = $("map-colour").value;
  const facets = [...$("filters").querySelectorAll(".facet")];
  $("map-colour").replaceChildren(...facets.map((facet) => {
    const option = element("option", facet.dataset.title);
    option.value = facet.dataset.key;
    option.selected = facet.dataset.key === chosen;
    return option;
  }));
}

/** Load the filters of another classifier, and keep the checked values. */
async function loadFilters() {
  const checked = new Set([...$("filters").querySelectorAll("input:checked")].map((box) => `${box.name}\0${box.value}`));
  const wereOpen = new Map([...$("filters").querySelectorAll("details")].map((one) => [one.dataset.key, one.open]));
  const answer = await ask(`/filters?entry=${encodeURIComponent(form.entry.value)}`);
  $("filters").innerHTML = await answer.text(); // rendered and escaped by the server
  for (const box of $("filters").querySelectorAll("input")) {
    box.checked = checked.has(`${box.name}\0${box.value}`);
  }
  for (const facet of $("filters").querySelectorAll("details")) {
    facet.open = wereOpen.get(facet.dataset.key) ?? facet.open;
  }
  listColours();
  await loadColours();
}

/* Search */

async function search(path, options, name) {
  $("message").hidden = true;
  $("count").textContent = "Searching…";
  try {
    const { rows, similarities } = await (await ask(path, options)).json();
    state.found = rows;
    state.similarities = new Map(rows.map((row, i) => [row, similarities[i].toFixed(3)]));
    state.foundFor = name;
    const option = form.show.querySelector('[value="search"]');
    option.hidden = false;
    form.show.value = "search";
    form.order.value = "listed";
  } catch (error) {
    await refresh();
    report(error);
    return;
  }
  await refresh();
}

function searchImage(file) {
  if (file) search("/search/image", { method: "POST", body: file }, file.name || "the pasted image");
}

/* Controls */

let typing;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", (event) => {
  if (event.target.name !== "path") return;
  clearTimeout(typing);
  typing = setTimeout(() => refresh(), 200);
});
form.addEventListener("change", async (event) => {
  const { name, value } = event.target;
  if (name === "image") {
    searchImage(event.target.files[0]);
    event.target.value = "";
  } else if (name === "text") {
    if (value.trim()) search("/search/text", post({ text: value }), `“${value}”`);
  } else if (name !== "path") {
    if (name === "show") form.order.value = value === "errors" ? "mistakes" : "listed";
    if (name === "entry") await loadFilters().catch(report);
    refresh();
  }
});
$("filters").addEventListener("change", () => refresh());
$("map-name").addEventListener("change", () => { setBrush(null); loadMap(); refresh(); });
$("map-colour").addEventListener("change", () => loadFilters().catch(report)); // with new classes
$("clear-brush").addEventListener("click", () => { setBrush(null); refresh(); $("brush").focus(); });
$("reset").addEventListener("click", () => {
  for (const box of $("filters").querySelectorAll("input:checked")) box.checked = false;
  setBrush(null);
  form.show.value = "all";
  form.order.value = "listed";
  form.path.value = "";
  refresh();
  $("grid").focus();
});

function setBrush(brush) {
  state.brush = brush;
  if (!brush) map.clearBrush();
}

for (const button of document.querySelectorAll(".pane-button")) {
  const pane = $(button.getAttribute("aria-controls"));
  const show = (visible) => {
    pane.hidden = !visible;
    button.setAttribute("aria-expanded", String(visible));
  };
  show(matchMedia("(min-width: 60rem)").matches);
  button.addEventListener("click", () => show(pane.hidden));
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape" && !panel.hidden && event.target.id !== "brush") closePanel();
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    (form.text || form.path).focus();
  }
});
document.addEventListener("browse:labelled", ({ detail }) => {
  if (dependsOnLabels(query())) refresh(true); // lists and errors follow the decisions
  else {
    grid.forget();
    grid.render();
  }
  loadFilters().catch(report); // the counts, and the colours of the map
  if (detail.undone !== null) openPanel(detail.undone, false);
  else if (panel.dataset.row === String(detail.row)) openPanel(detail.row, false);
});

if (form.image) {
  const drop = $("drop");
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    drop.hidden = false;
  });
  drop.addEventListener("dragleave", () => { drop.hidden = true; });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.hidden = true;
    searchImage(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => searchImage(event.clipboardData.files[0]));
}

listColours();
refresh();
loadMap();
loadColours().catch(report);
