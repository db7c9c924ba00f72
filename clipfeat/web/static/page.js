/* Functions that the scripts of several pages share. */

export const $ = (id) => document.getElementById(id);

/** A refusal by the server. The message is the server's. */
export class Failed extends Error {}

/** Options of `fetch` for a POST request with JSON. */
export const post = (value) => ({
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value),
});

/** Return the reason for which a server refused a request. */
export async function reason(answer) {
  try {
    const { detail } = await answer.json();
    return typeof detail === "string" ? detail : "the server refused the request";
  } catch {
    return `the server answered with the status ${answer.status}`;
  }
}

/** Make an element with a text. */
export function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

export const sleep = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });
