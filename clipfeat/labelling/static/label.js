/* The labelling page of `clipfeat app`: one image, its classes, and the queue. */

import { $, element, Failed, post, reason, sleep } from "/static/web/page.js";

const POLL = 0.7;
const N_KEYS = 9;
const N_PRELOADED = 3;

const version = $("labelling").dataset.version;
let state = null;
let place = 0;
let saved = Promise.resolve();
let nWaiting = 0;
let polling = false;

async function ask(path, value) {
  const answer = await fetch(`/label/${path}`, value === undefined ? {} : post(value));
  if (!answer.ok) throw new Failed(await reason(answer));
  return answer.json();
}

/** Send a change after the earlier ones. Show the state after the last one, and what was done. */
function change(path, value, describe, image = null) {
  nWaiting += 1;
  $("message").hidden = true;
  saved = saved.then(() => send(path, value, describe, image));
}

async function send(path, value, describe, image) {
  let answer = null;
  try {
    answer = await ask(path, value);
  } catch (error) {
    report(error);
    if (image) state.pending.splice(place + 1, 0, image); // after the image that is shown
  }
  nWaiting -= 1;
  if (answer) $("status").textContent = describe(answer);
  if (nWaiting) return;
  if (answer?.undone !== undefined) place = 0;
  show(answer ?? state);
}

/** Send a change about the image that is shown, and show the next one without waiting. */
function finish(path, value, text) {
  const image = current();
  if (!image) return;
  state.pending.splice(place, 1);
  place = Math.max(0, Math.min(place, state.pending.length - 1));
  change(path, { row: image.row, ...value }, () => `${image.path}: ${text}.`, image);
  state.can_undo ||= path === "decide";
  $("undo").disabled = !state.can_undo;
  showImage();
  showClasses();
  $("about").textContent = about();
}

function report(error) {
  $("message").textContent = error instanceof Failed
    ? `${error.message}.` : "The server does not answer. The last decision may not be saved.";
  $("message").hidden = false;
}

const current = () => state?.pending[place] ?? null;
const address = (image) => `/thumbnail/${image.row}?size=large&v=${version}`;

/** Show a state. The image that is shown stays, and comes first after a fit. */
function show(next, keepsImage = true) {
  const before = next.undone === undefined ? current() : null;
  const wasFitting = state?.is_fitting;
  const isFitted = wasFitting && !next.is_fitting;
  state = next;
  if (isFitted) place = 0;
  if (before) {
    const same = state.pending.findIndex((one) => one.row === before.row);
    const image = state.pending[same] ?? before;
    if (same >= 0 && !isFitted) place = same;
    else if (same >= 0 || keepsImage) {
      if (same >= 0) state.pending.splice(same, 1);
      state.pending.splice(place, 0, image);
    }
  }
  place = Math.max(0, Math.min(place, state.pending.length - 1));
  showImage();
  showClasses();
  const counts = Object.entries(state.counts).flatMap(([name, n]) => [element("dt", name), element("dd", n)]);
  $("counts").replaceChildren(...counts);
  $("total").textContent = `${number(state.n_labelled)} of ${number(state.n_images)} images have a label.${others()}`;
  $("undo").disabled = !state.can_undo;
  $("refit").disabled = state.is_fitting;
  $("about").textContent = about();
  if (state.error && wasFitting && !state.is_fitting) report(new Failed(state.error));
  if (state.is_fitting) poll();
}

/** Say how many decisions in the file are about other images with the same paths. */
function others() {
  if (!state.n_others) return "";
  const paths = state.n_others === 1 ? "1 path" : `${number(state.n_others)} paths`;
  return ` Labels of ${paths} do not count, because they were given to other images.`;
}

function about() {
  if (state.is_fitting) return "The queue is being computed. You can go on labelling.";
  if (!state.pending.length) return "";
  const n = `${place + 1} of ${state.pending.length} images`;
  if (state.n_fitted) return `${n}, by the uncertainty of logreg on ${number(state.n_fitted)} labels and by clusters.`;
  return `${n}, far from each other. Label two classes, then refit.`;
}

function showImage() {
  const image = current();
  $("image").hidden = !image;
  $("empty").hidden = Boolean(image);
  for (const id of ["skip", "previous", "next"]) $(id).disabled = !image;
  if (!image) {
    $("empty").textContent = state.is_fitting ? "The queue is being computed…"
      : state.n_labelled < state.n_images ? "The queue is empty. Refit to fill it again." : "All images have a label.";
    $("path").textContent = "";
    $("guess").textContent = "";
    $("image").removeAttribute("src");
    return;
  }
  $("previous").disabled = place === 0;
  $("next").disabled = place === state.pending.length - 1;
  if ($("image").getAttribute("src") !== address(image)) $("image").src = address(image);
  $("image").alt = image.path;
  $("path").textContent = image.path;
  $("guess").textContent = image.predicted ? `logreg: ${image.predicted}, margin ${image.margin.toFixed(2)}` : "";
  for (const later of state.pending.slice(place + 1, place + 1 + N_PRELOADED)) new Image().src = address(later);
}

function showClasses() {
  const focused = document.activeElement?.dataset?.label;
  const buttons = state.classes.map((name, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.label = name;
    button.disabled = !current();
    if (i < N_KEYS) {
      button.setAttribute("aria-keyshortcuts", String(i + 1));
      button.append(element("kbd", i + 1), " ");
    }
    button.append(name);
    return button;
  });
  if (!buttons.length) buttons.push(element("p", "Add the names of the classes first.", "muted"));
  $("classes").replaceChildren(...buttons);
  if (focused !== undefined) buttons.find((one) => one.dataset.label === focused)?.focus();
}

const number = (n) => n.toLocaleString("en");

/** Ask for the state. It is null if a change was made in the meantime. */
async function newState() {
  const before = state;
  if (nWaiting) return null;
  const next = await ask("state");
  return nWaiting || state !== before ? null : next;
}

/** Ask for the state until the queue is computed. */
async function poll() {
  if (polling) return;
  polling = true;
  try {
    while (state.is_fitting) {
      await sleep(POLL);
      const next = await newState();
      if (!next) continue;
      if (!next.is_fitting && !next.error) $("status").textContent = "The queue is up to date.";
      show(next);
    }
  } catch (error) {
    report(error);
  } finally {
    polling = false;
  }
}

function decide(label) {
  finish("decide", { label }, label);
}

const actions = {
  undo: () => change("undo", {}, ({ pending }) => `Taken back: ${pending[0]?.path ?? ""}.`),
  skip: () => finish("skip", {}, "skipped"),
  previous: () => move(-1),
  next: () => move(1),
  refit: () => change("refit", {}, () => "The queue is being computed."),
};

function move(step) {
  if (!state || !state.pending[place + step]) return;
  place += step;
  showImage();
  $("about").textContent = about();
}

const KEYS = { u: "undo", s: "skip", ArrowLeft: "previous", ArrowRight: "next", n: "next", r: "refit" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input")) return;
  const digit = "123456789".indexOf(event.key);
  if (event.key.length === 1 && digit >= 0 && state?.classes[digit] !== undefined) {
    event.preventDefault();
    decide(state.classes[digit]);
  } else if (KEYS[event.key] && !$(KEYS[event.key]).disabled) {
    event.preventDefault();
    actions[KEYS[event.key]]();
  }
});
for (const [id, act] of Object.entries(actions)) $(id).addEventListener("click", act);
$("classes").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) decide(button.dataset.label);
});
$("new-class").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("class-name").value;
  change("class", { name }, () => `The class ${name.trim()} is new.`);
  $("class-name").value = "";
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && state) newState().then((next) => next && show(next, false)).catch(report);
});

ask("state").then(show).catch(report);
