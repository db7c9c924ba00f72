// The page: files in, one card with a verdict for each.

import { decode, load, predict, verdict } from "./model.js";

const MOST_BARS = 6;
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const status = byId("status"), results = byId("results"), input = byId("files");

// Texts are set as text, so that markup in a name stays text.
function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function bar(name, probability, threshold) {
  const chart = drawn("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" });
  chart.append(drawn("rect", { class: "track", width: 100, height: 6 }),
    drawn("rect", { class: "share", width: 100 * probability, height: 6 }));
  if (threshold !== null) {
    chart.append(drawn("rect", { class: "threshold", x: 100 * threshold - 0.4, width: 0.8, height: 6 }));
  }
  return element("div", { class: "bar" }, element("span", { text: name }),
    element("span", { class: "number", text: probability.toFixed(3) }), chart);
}

function show(file, notes, probabilities) {
  const { predicted, unsure } = verdict(notes, probabilities);
  const order = probabilities.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  const shown = notes.classes.length === 2 ? [1, 0] : order.slice(0, MOST_BARS);
  const heading = element("h2", { text: notes.classes[predicted] });
  if (unsure) heading.append(element("span", { class: "unsure", text: " (unsure)" }));
  return [heading, element("p", { class: "file", text: file.name }), ...shown.map((i) =>
    bar(notes.classes[i], probabilities[i], i === 1 ? notes.threshold : null))];
}

async function classify(model, file, next) {
  const card = element("article", { class: "result" });
  results.hidden = false;
  results.insertBefore(card, next);
  try {
    const image = await decode(file);
    const address = URL.createObjectURL(file);
    const picture = element("img", { alt: "", src: address });
    picture.addEventListener("load", () => URL.revokeObjectURL(address));
    const probabilities = await predict(model, image);
    card.append(picture, ...show(file, model.notes, probabilities));
    card.dataset.probabilities = JSON.stringify(probabilities);
  } catch (error) {
    card.append(element("h2", { class: "bad", text: "This image cannot be classified" }),
      element("p", { class: "file", text: file.name }), element("p", { text: String(error.message) }));
  }
  card.dataset.file = file.name;
}

function describe(notes) {
  const rows = {
    Classes: notes.classes.join(", "),
    Threshold: notes.threshold === null ? "the most probable class is predicted"
      : `${notes.classes[1]} if its probability is above ${notes.threshold.toFixed(3)}`,
    Classifier: notes.members.join(", "),
    Encoder: notes.inputs.map((one) => `${one.encoder} at ${one.size[1]} × ${one.size[0]} pixels`).join(", "),
    Fingerprint: notes.inputs.map((one) => one.fingerprint).join(", "),
  };
  for (const [name, text] of Object.entries(rows)) {
    if (text) byId("about").append(element("dt", { text: name }), element("dd", { text }));
  }
}

let queue = Promise.resolve();

function add(model, files) {
  const images = [...files];
  queue = queue.then(async () => {
    const next = results.firstChild; // the newest images come first, in the order of their choice
    for (const [i, file] of images.entries()) {
      status.textContent = `Classifying image ${i + 1} of ${images.length}…`;
      await new Promise((done) => setTimeout(done)); // let the browser draw
      await classify(model, file, next);
    }
    const total = results.childElementCount;
    const failed = total - results.querySelectorAll("[data-probabilities]").length;
    status.textContent = failed ? `${failed} of ${total} images cannot be classified.`
      : total === 1 ? "1 image is classified." : `${total} images are classified.`;
  });
}

async function start() {
  const model = await load();
  if (model.notes.classes.length === 2) {
    document.title = byId("title").textContent = `${model.notes.classes.join(" or ")}?`;
  }
  describe(model.notes);
  status.textContent = "The model is ready.";
  input.disabled = false;
  input.addEventListener("change", () => {
    add(model, input.files);
    input.value = "";
  });
  addEventListener("paste", (event) => add(model, event.clipboardData.files));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
  addEventListener("dragleave", () => byId("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    add(model, event.dataTransfer.files);
  });
}

start().catch((error) => {
  status.textContent = `The model cannot be started: ${error.message}. Open the page from a web `
    + "server, for example with: python -m http.server";
  status.className = "notice error";
});
