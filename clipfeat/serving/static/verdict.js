// The page of verdicts. The browser keeps the images and sends one again for each slow part.
"use strict";

const PARALLEL = 2;
const RETRIES = 20;

const entries = new Map(); // number of the image -> { file, row, card }
const waiting = [];
let running = 0;
let shown = 0;

const byId = (id) => document.getElementById(id);

function addFiles(files) {
  const added = [...files];
  if (!added.length) return;
  byId("session").hidden = false;
  let first = 0;
  for (const file of added) {
    const number = entries.size + 1;
    first ||= number;
    entries.set(number, { file, row: addRow(number, file.name), card: null });
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
    byId("result").scrollIntoView({ block: "start" });
  });
  head.append(button);
  const [preview, verdict, probability] = [1, 2, 3].map(() => document.createElement("td"));
  preview.className = "preview";
  verdict.textContent = "…";
  probability.className = "number";
  row.append(preview, head, verdict, probability);
  byId("rows").append(row);
  return row;
}

function next() {
  while (running < PARALLEL && waiting.length) {
    running += 1;
    const number = waiting.shift();
    const entry = entries.get(number);
    classify(number, entry).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function classify(number, entry) {
  let html;
  try {
    html = await send(entry.file);
  } catch (error) {
    html = null;
    entry.failure = String(error.message || error);
  }
  if (entries.get(number) !== entry) return; // cleared meanwhile
  entry.card = html === null ? problem(entry) : parse(html);
  entry.card.dataset.number = number;
  entry.card.querySelector(".file-name").textContent = printable(entry.file.name);
  fillRow(entry);
  if (shown === number) show(number);
}

async function send(file) {
  const limit = Number(byId("files").dataset.limit);
  if (file.size > limit) throw new Error(`the file has more than ${limit} bytes`);
  const form = new FormData();
  form.set("files", file, file.name);
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch("/page/verdict", { method: "POST", body: form });
    if (answer.status === 429 && attempt < RETRIES) {
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
      continue;
    }
    const text = await answer.text();
    if ((answer.headers.get("Content-Type") || "").startsWith("text/html")) return text;
    throw new Error(detail(text, answer.status));
  }
}

function detail(text, status) {
  try {
    return String(JSON.parse(text).detail);
  } catch {
    return `the server answered with status ${status}`;
  }
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // from this server, escaped there
  return template.content.querySelector("article");
}

function problem(entry) {
  const card = byId("pending").content.querySelector("article").cloneNode(true);
  const heading = document.createElement("h2");
  heading.className = "file-name";
  heading.textContent = printable(entry.file.name);
  const notice = document.createElement("p");
  notice.className = "notice error";
  notice.textContent = entry.failure;
  card.replaceChildren(heading, notice);
  card.dataset.row = JSON.stringify({ path: entry.file.name, error: entry.failure });
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
  const { card, row } = entries.get(number);
  for (const other of byId("rows").children) other.removeAttribute("aria-current");
  row.setAttribute("aria-current", "true");
  const content = card || byId("pending").content.querySelector("article").cloneNode(true);
  // htmx drops the waiting requests of a card that is not in the document.
  byId("others").append(...byId("result").querySelectorAll("article[data-number]"));
  byId("result").replaceChildren(content);
  if (card && !card.dataset.processed) {
    card.dataset.processed = "true";
    htmx.process(card);
  }
}

function announce(text) {
  byId("status").textContent = text;
}

// A slow part of a card: htmx sends its request, and the image is added here.
document.addEventListener("htmx:configRequest", (event) => {
  const card = event.target.closest("article[data-number]");
  if (!card) return;
  const { file } = entries.get(Number(card.dataset.number)) || {};
  if (!file) {
    event.preventDefault();
    return;
  }
  event.detail.formData.set("files", file, file.name);
});

// A part that is refused while the server is busy is requested again. Other failures are shown.
document.addEventListener("htmx:responseError", (event) => {
  const part = event.target;
  const answer = event.detail.xhr;
  if (answer.status === 429) {
    const seconds = Number(answer.getResponseHeader("Retry-After")) || 1;
    setTimeout(() => part.isConnected && htmx.trigger(part, "retry"), 1000 * seconds);
    return;
  }
  fail(part, detail(answer.responseText, answer.status));
});
document.addEventListener("htmx:sendError", (event) => {
  fail(event.target, "the server does not answer");
});

function fail(part, message) {
  const place = part.closest(".lazy, .map");
  if (!place) return;
  const line = place.querySelector(".waiting, .error") || place.appendChild(document.createElement("p"));
  line.className = "notice error";
  line.textContent = message;
}

byId("files").addEventListener("change", (event) => {
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
const zone = byId("drop");
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

byId("clear").addEventListener("click", () => {
  entries.clear();
  waiting.length = 0;
  shown = 0;
  byId("rows").replaceChildren();
  byId("result").replaceChildren();
  byId("others").replaceChildren();
  byId("session").hidden = true;
  byId("files").focus();
  announce("The session is empty.");
});

byId("download").addEventListener("click", () => {
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
