/* The page of verdicts. An image is sent once if it is shown while it is classified. */

import { $, element, Failed, reason, sleep } from "/static/web/page.js";

const PARALLEL = 2;
const RETRIES = 20;

const entries = new Map(); // number of the image -> { file, row, card, loading }
const waiting = [];
let running = 0;
let shown = 0;

function addFiles(files) {
  const added = [...files];
  if (!added.length) return;
  $("session").hidden = false;
  let first = 0;
  for (const file of added) {
    const number = entries.size + 1;
    first ||= number;
    entries.set(number, { file, row: addRow(number, file.name), card: null, loading: new Set() });
    waiting.push(number);
  }
  show(first);
  next();
}

function addRow(number, name) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = printable(name);
  button.addEventListener("click", () => {
    show(number);
    $("result").scrollIntoView({ block: "start" });
  });
  head.append(button);
  const [preview, verdict, probability] = [1, 2, 3].map(() => document.createElement("td"));
  preview.className = "preview";
  verdict.textContent = "…";
  probability.className = "number";
  row.append(preview, head, verdict, probability);
  $("rows").append(row);
  return row;
}

function next() {
  while (running < PARALLEL && waiting.length) {
    running += 1;
    const number = waiting.shift();
    classify(number, entries.get(number)).finally(() => {
      running -= 1;
      next();
    });
  }
}

/** Send an image for its verdict. If it is shown, all parts come with one upload. */
async function classify(number, entry) {
  const names = shown === number ? "all" : "verdict";
  await new Promise((done) => {
    receive(number, entry, names, done).catch((error) => {
      if (entry.card) fillMissing(entry, error);
      else addCard(number, entry, problem(entry, error));
    }).finally(done);
  });
}

/** Load the parts that the card of an image still lacks. */
async function complete(number, entry, parts) {
  const asked = parts.filter((one) => !entry.loading.has(one.dataset.part));
  if (!asked.length) return;
  const names = asked.map((one) => one.dataset.part);
  for (const name of names) entry.loading.add(name);
  try {
    await receive(number, entry, names.join(","));
  } catch (error) {
    fillMissing(entry, error, names);
  }
}

/** Upload an image, and show each part as soon as it arrives. `onVerdict` follows the first one. */
async function receive(number, entry, names, onVerdict = () => {}) {
  if (names === "all") entry.loading = new Set(["facts", "changes", "neighbours", "occlusion"]);
  const lines = linesOf(await send(entry.file, names));
  for await (const { part, html, error } of lines) {
    if (entries.get(number) !== entry) return; // cleared meanwhile
    if (part === "verdict") {
      addCard(number, entry, error === undefined ? parse(html) : problem(entry, new Failed(error)));
      onVerdict();
    } else if (error !== undefined) fail(placeOf(entry, part), error);
    else placeOf(entry, part)?.replaceWith(parse(html));
  }
  if (names === "all") fillMissing(entry, new Failed("the answer of the server is incomplete"));
}

const placeOf = (entry, part) => entry.card?.querySelector(`[data-part="${part}"]`);

/** Show an error in place of the parts that are awaited. */
function fillMissing(entry, error, names = null) {
  for (const place of entry.card?.querySelectorAll(".lazy[data-part]") ?? []) {
    if (!names || names.includes(place.dataset.part)) fail(place, textOf(error));
  }
}

const textOf = (error) => (error instanceof Failed ? error.message : "the server does not answer");

async function send(file, names) {
  const limit = Number($("files").dataset.limit);
  if (file.size > limit) throw new Failed(`the file has more than ${limit} bytes`);
  const form = new FormData();
  form.set("files", file, file.name);
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(`/page/parts?parts=${names}`, { method: "POST", body: form });
    if (answer.ok) return answer;
    if (answer.status !== 429 || attempt >= RETRIES) throw new Failed(await reason(answer));
    await sleep(Number(answer.headers.get("Retry-After")) || 1);
  }
}

/** Yield the values of an answer, which has one as JSON on each line. */
async function* linesOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

function addCard(number, entry, card) {
  if (entries.get(number) !== entry) return;
  entry.card = card;
  card.dataset.number = number;
  card.querySelector(".file-name").textContent = printable(entry.file.name);
  fillRow(entry);
  if (shown === number) show(number);
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // from this server, escaped there
  return template.content.firstElementChild;
}

function problem(entry, error) {
  const card = $("pending").content.querySelector("article").cloneNode(true);
  const message = textOf(error);
  card.replaceChildren(element("h2", "", "file-name"), element("p", message, "notice error"));
  card.dataset.row = JSON.stringify({ path: entry.file.name, error: message });
  return card;
}

function fillRow(entry) {
  const values = JSON.parse(entry.card.dataset.row);
  const [preview, , verdict, probability] = entry.row.children;
  const picture = entry.card.querySelector(".picture img");
  if (picture) {
    const small = new Image();
    small.src = picture.src;
    small.alt = "";
    preview.replaceChildren(small);
  }
  verdict.textContent = values.error ? `failed: ${values.error}` : values.predicted;
  if (values.unsure) verdict.textContent = `unsure (${values.predicted})`;
  verdict.className = values.error ? "bad" : values.unsure ? "unsure" : "";
  probability.textContent = values.error
    ? ""
    : `${(100 * values[`p_${values.predicted}`]).toFixed(1)} %`;
  announce(`${printable(entry.file.name)}: ${verdict.textContent} ${probability.textContent}`);
}

function show(number) {
  shown = number;
  const entry = entries.get(number);
  for (const other of $("rows").children) other.removeAttribute("aria-current");
  entry.row.setAttribute("aria-current", "true");
  const content = entry.card || $("pending").content.querySelector("article").cloneNode(true);
  $("result").replaceChildren(content);
  if (entry.card) complete(number, entry, [...entry.card.querySelectorAll(".lazy[data-part]")]);
}

function announce(text) {
  $("status").textContent = text;
}

/** Show an error in place of a part. */
function fail(place, message) {
  if (!place) return;
  const line = place.querySelector(".waiting, .error") || place.appendChild(document.createElement("p"));
  line.className = "notice error";
  line.textContent = message;
  place.classList.remove("lazy");
}

// A part that takes long is computed on request.
$("result").addEventListener("click", (event) => {
  const button = event.target.closest(".map button");
  if (!button) return;
  const place = button.closest("[data-part]");
  const number = Number(button.closest("[data-number]").dataset.number);
  place.classList.add("lazy");
  place.replaceChildren(element("p", "Finding the regions that matter…", "waiting"));
  const entry = entries.get(number);
  entry.loading.delete("occlusion");
  complete(number, entry, [place]);
});

$("files").addEventListener("change", (event) => {
  addFiles(event.target.files);
  event.target.value = "";
});

document.addEventListener("paste", (event) => {
  const files = event.clipboardData ? event.clipboardData.files : [];
  if (files.length) {
    event.preventDefault();
    addFiles(files);
  }
});

// The whole page accepts images, so that a missed zone does not replace the page by the image.
const zone = $("drop");
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) zone.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("over");
  addFiles(event.dataTransfer.files);
});

$("clear").addEventListener("click", () => {
  entries.clear();
  waiting.length = 0;
  shown = 0;
  $("rows").replaceChildren();
  $("result").replaceChildren();
  $("session").hidden = true;
  $("files").focus();
  announce("The session is empty.");
});

$("download").addEventListener("click", () => {
  const values = [...entries.values()]
    .filter((entry) => entry.card)
    .map((entry) => ({ ...JSON.parse(entry.card.dataset.row), path: entry.file.name }));
  const columns = [...new Set(values.flatMap(Object.keys))].filter((name) => name !== "error");
  columns.push("error");
  const lines = [columns, ...values.map((row) => columns.map((name) => row[name] ?? ""))];
  const text = lines.map((cells) => cells.map(cell).join(",") + "\r\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "verdicts.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});

// Escape control characters and marks that change the direction of text, as `clipfeat predict` does.
function printable(text) {
  return text.replace(
    /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu,
    (one) => {
      const short = { "\t": "\\t", "\n": "\\n", "\r": "\\r" }[one];
      const code = one.codePointAt(0);
      const hex = code.toString(16);
      return short || (code < 256 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`);
    },
  );
}

// A text that a spreadsheet would run as a formula gets an apostrophe, as in `clipfeat predict`.
function cell(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  let text = printable(String(value));
  if (typeof value === "string" && /^[' ]*[=+\-@]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
