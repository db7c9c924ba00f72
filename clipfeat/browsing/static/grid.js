/* A grid of thumbnails that holds only the visible cells, whatever the number of images. */

const CAPTION = 44;
const SPARE_LINES = 2;
const SETTLED = 70;
const MAX_DETAILS = 20000;
const BLOCK = 1000; // as many as the server describes together

export class Grid {
  /**
   * @param {HTMLElement} element The scrolled listbox.
   * @param {{details: Function, thumbnail: Function, open: Function, activate: Function}} hooks
   *   `details(rows)` returns a promise of the facts about these rows. `thumbnail(row)` returns an
   *   address. `open(row)` and `activate(row)` are called when an image is opened or reached.
   */
  constructor(element, hooks) {
    this.element = element;
    this.hooks = hooks;
    this.rows = new Uint32Array(0);
    this.active = -1;
    this.cells = new Map();
    this.facts = new Map();
    this.notes = new Map();
    this.generation = 0;
    this.space = document.createElement("div");
    this.space.className = "grid-space";
    this.space.setAttribute("role", "presentation");
    element.append(this.space);
    element.addEventListener("scroll", () => this.render(), { passive: true });
    element.addEventListener("keydown", (event) => this.onKey(event));
    element.addEventListener("click", (event) => this.onClick(event));
    new ResizeObserver(() => this.layout()).observe(element);
  }

  /** Show other rows. `notes` holds a text for some of them. With `stay`, the view stays in place. */
  setRows(rows, notes = new Map(), stay = false) {
    const { activeRow, active } = this;
    const top = stay ? this.element.scrollTop : 0;
    this.rows = rows;
    this.notes = notes;
    this.forget();
    this.active = rows.length ? 0 : -1;
    if (stay && rows.length && active >= 0) {
      const place = rows.indexOf(activeRow);
      this.active = place >= 0 ? place : Math.min(active, rows.length - 1);
    }
    this.layout();
    this.element.scrollTop = top;
  }

  /** Load the facts about the rows again. */
  forget() {
    this.generation += 1;
    this.facts.clear();
    this.clear();
  }

  clear() {
    this.space.replaceChildren();
    this.cells.clear();
  }

  get activeRow() {
    return this.active < 0 ? null : this.rows[this.active];
  }

  layout() {
    const width = this.element.clientWidth;
    if (!width) return;
    const least = width < 480 ? 104 : 148;
    this.columns = Math.max(1, Math.floor(width / least));
    this.width = Math.floor(width / this.columns);
    this.height = this.width + CAPTION;
    this.space.classList.toggle("grid-empty", !this.rows.length);
    const lines = Math.ceil(this.rows.length / this.columns);
    this.space.style.height = lines ? `${lines * this.height}px` : "auto";
    this.clear();
    if (this.rows.length) this.render();
    else this.space.textContent = "No image matches. Remove a filter or the selection on the map.";
  }

  render() {
    if (!this.height || !this.rows.length) return;
    const top = Math.floor(this.element.scrollTop / this.height) - SPARE_LINES;
    const lines = Math.ceil(this.element.clientHeight / this.height) + 2 * SPARE_LINES;
    const first = Math.max(0, top * this.columns);
    const last = Math.min(this.rows.length, (top + lines + 1) * this.columns);
    for (const [index, cell] of this.cells) {
      if (index < first || index >= last) {
        cell.querySelector("img").removeAttribute("src");
        cell.remove();
        this.cells.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      if (!this.cells.has(index)) this.add(index);
    }
    this.mark();
    clearTimeout(this.timer);
    const wait = this.loaded === this.generation ? SETTLED : 0;
    this.timer = setTimeout(() => this.load(), wait);
  }

  add(index) {
    const cell = document.createElement("div");
    cell.className = "cell";
    cell.id = `cell-${index}`;
    cell.setAttribute("role", "option");
    cell.setAttribute("aria-setsize", this.rows.length);
    cell.setAttribute("aria-posinset", index + 1);
    cell.dataset.index = index;
    const x = (index % this.columns) * this.width;
    const y = Math.floor(index / this.columns) * this.height;
    cell.style.transform = `translate(${x}px, ${y}px)`;
    cell.style.width = `${this.width}px`;
    cell.style.height = `${this.height}px`;
    const image = document.createElement("img");
    image.alt = "";
    image.decoding = "async";
    image.draggable = false;
    const caption = document.createElement("div");
    caption.className = "cell-caption";
    cell.append(image, caption);
    this.cells.set(index, cell);
    this.space.append(cell);
    this.describe(index);
  }

  /** Load images and facts of the visible cells, once scrolling rests. */
  async load() {
    this.loaded = this.generation;
    for (const [index, cell] of this.cells) {
      const image = cell.querySelector("img");
      if (!image.hasAttribute("src")) image.src = this.hooks.thumbnail(this.rows[index]);
    }
    if (this.facts.size > MAX_DETAILS) this.facts.clear();
    const missing = [...this.cells.keys()].map((index) => this.rows[index])
      .filter((row) => !this.facts.has(row)).slice(0, BLOCK);
    if (!missing.length) return;
    const generation = this.generation;
    const facts = await this.hooks.details(missing);
    if (generation !== this.generation || !facts) return;
    missing.forEach((row, i) => this.facts.set(row, facts[i]));
    for (const index of this.cells.keys()) this.describe(index);
  }

  describe(index) {
    const cell = this.cells.get(index);
    const row = this.rows[index];
    const fact = this.facts.get(row);
    if (!fact || cell.dataset.described) return;
    cell.dataset.described = "yes";
    const caption = cell.querySelector(".cell-caption");
    const label = fact.label || "no label";
    const first = line(label, fact.label ? "cell-label" : "cell-label muted");
    const texts = [];
    if (fact.predicted) {
      const sure = fact.confidence.toFixed(2);
      texts.push(fact.wrong ? `→ ${fact.predicted} ${sure}` : sure);
    }
    const note = this.notes.get(row) || fact.note;
    if (note) texts.unshift(note);
    caption.replaceChildren(first, line(texts.join(" · "), fact.wrong ? "bad" : "muted"));
    cell.title = fact.path; // the accessible name is the caption, and the description is the path
    cell.classList.toggle("wrong", fact.wrong);
    if (fact.cluster !== null) cell.dataset.cluster = fact.cluster % 2 ? "odd" : "even";
  }

  mark() {
    for (const [index, cell] of this.cells) {
      cell.setAttribute("aria-selected", index === this.active ? "true" : "false");
    }
    if (this.cells.has(this.active)) {
      this.element.setAttribute("aria-activedescendant", `cell-${this.active}`);
    } else {
      this.element.removeAttribute("aria-activedescendant");
    }
  }

  /** Move to an image, and scroll so that it is visible. */
  activate(index) {
    if (!this.rows.length) return;
    this.active = Math.min(Math.max(index, 0), this.rows.length - 1);
    const top = Math.floor(this.active / this.columns) * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    if (top + this.height > scrollTop + clientHeight) {
      this.element.scrollTop = top + this.height - clientHeight;
    }
    this.render();
    this.hooks.activate(this.activeRow);
  }

  /** Move to a row if it is shown. */
  activateRow(row) {
    const index = this.rows.indexOf(row);
    if (index >= 0) this.activate(index);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height)) * this.columns;
    const steps = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns,
      PageDown: page, PageUp: -page, Home: -this.rows.length, End: this.rows.length,
    };
    if (event.key in steps) {
      event.preventDefault();
      this.activate(this.active + steps[event.key]);
    } else if (event.key === "Enter" && this.active >= 0) {
      event.preventDefault();
      this.hooks.open(this.activeRow);
    }
  }

  onClick(event) {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    this.activate(Number(cell.dataset.index));
    this.hooks.open(this.activeRow);
  }
}

function line(text, className) {
  const element = document.createElement("div");
  element.className = className;
  element.textContent = text;
  return element;
}
