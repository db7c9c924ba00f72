/* Labels in the panel of one image: buttons, the keys 1 to 9, and u to undo. */

import { post, reason } from "/static/web/page.js";

const panel = document.getElementById("panel");
const message = document.getElementById("message");
let saved = Promise.resolve();

/** Send a change after the earlier ones. */
function change(path, value) {
  message.hidden = true;
  saved = saved.then(() => send(path, value));
}

async function send(path, value) {
  let text = "The server does not answer. The last decision may not be saved.";
  try {
    const answer = await fetch(`/label/${path}`, post(value));
    if (!answer.ok) {
      text = `${await reason(answer)}.`;
      throw new Error(text);
    }
    const undone = (await answer.json()).undone ?? null;
    document.dispatchEvent(new CustomEvent("browse:labelled", { detail: { row: value.row, undone } }));
  } catch {
    message.textContent = text;
    message.hidden = false;
  }
}

panel.addEventListener("click", (event) => {
  const button = event.target.closest("[data-label]");
  if (!button) return;
  // The row of the image that is shown. `panel.dataset.row` may be the next one, which is loading.
  const row = Number(button.closest("[data-row]").dataset.row);
  change("decide", { row, label: button.dataset.label });
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || panel.hidden) return;
  if (event.target.closest("input, select, textarea, #brush")) return;
  if (event.key === "u") change("undo", {});
  else if (/^[1-9]$/.test(event.key)) panel.querySelectorAll("[data-label]")[event.key - 1]?.click();
});
