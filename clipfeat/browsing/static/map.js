/* A map of the features on a canvas, and the selection of images by a rectangle. */

const FULL = 65535;
const MARGIN = 10;
const NEAR = 14;
const STEP = 0.05;

export class FeatureMap {
  /**
   * @param {HTMLCanvasElement} points The canvas of the points.
   * @param {HTMLCanvasElement} overlay The canvas above it, of the rectangle and the open image.
   * @param {{brush: Function, pick: Function}} hooks
   *   `brush(rectangle)` is called with a rectangle or null, and `pick(row)` after a click.
   */
  constructor(points, overlay, hooks) {
    this.canvas = points;
    this.overlay = overlay;
    this.hooks = hooks;
    this.points = null;
    this.codes = null;
    this.colours = [];
    this.rows = new Uint32Array(0);
    this.brush = null;
    this.marked = null;
    this.drag = null;
    new ResizeObserver(() => this.draw()).observe(overlay);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    overlay.addEventListener("pointerdown", (event) => this.onDown(event));
    overlay.addEventListener("pointermove", (event) => this.onMove(event));
    overlay.addEventListener("pointerup", (event) => this.onUp(event));
    overlay.addEventListener("pointercancel", () => { this.drag = null; this.drawOverlay(); });
    overlay.addEventListener("keydown", (event) => this.onKey(event));
  }

  setPoints(points) {
    this.points = points;
    this.draw();
  }

  setColours(codes, colours) {
    this.codes = codes;
    this.colours = colours;
    this.draw();
  }

  setRows(rows) {
    this.rows = rows;
    this.draw();
  }

  mark(row) {
    this.marked = row;
    this.drawOverlay();
  }

  clearBrush() {
    this.brush = null;
    this.drawOverlay();
  }

  get scale() {
    const side = Math.min(this.overlay.clientWidth, this.overlay.clientHeight) - 2 * MARGIN;
    return {
      side,
      left: (this.overlay.clientWidth - side) / 2,
      top: (this.overlay.clientHeight - side) / 2,
    };
  }

  /** Position of a row's point on the canvas, in CSS pixels. */
  place(row) {
    const { side, left, top } = this.scale;
    return [
      left + (this.points[2 * row] / FULL) * side,
      top + (this.points[2 * row + 1] / FULL) * side,
    ];
  }

  draw() {
    const context = prepare(this.canvas);
    if (!context || !this.points) return;
    const style = getComputedStyle(this.overlay);
    const { side, left, top } = this.scale;
    const n = this.points.length / 2;
    const size = n > 20000 ? 1.5 : n > 2000 ? 2.5 : 5;
    const put = (row) => {
      const x = left + (this.points[2 * row] / FULL) * side;
      const y = top + (this.points[2 * row + 1] / FULL) * side;
      if (n > 2000) {
        context.fillRect(x - size / 2, y - size / 2, size, size);
      } else {
        context.beginPath();
        context.arc(x, y, size / 2, 0, 2 * Math.PI);
        context.fill();
      }
    };
    if (this.rows.length < n) {
      context.fillStyle = style.getPropertyValue("--colour-unselected");
      for (let row = 0; row < n; row += 1) put(row);
    }
    const other = style.getPropertyValue("--muted");
    const values = this.colours.length ? this.colours : [other];
    values.forEach((colour, code) => {
      context.fillStyle = colour ? style.getPropertyValue(colour) : other;
      for (const row of this.rows) {
        if (!this.colours.length || this.codes[row] === code) put(row);
      }
    });
    this.drawOverlay();
  }

  drawOverlay() {
    const context = prepare(this.overlay);
    if (!context || !this.points) return;
    const style = getComputedStyle(this.overlay);
    const { side, left, top } = this.scale;
    context.lineWidth = 2;
    context.strokeStyle = style.getPropertyValue("--ink");
    const brush = this.drag?.brush || this.brush;
    if (brush) {
      const box = [
        left + (brush.left / FULL) * side, top + (brush.top / FULL) * side,
        ((brush.right - brush.left) / FULL) * side, ((brush.bottom - brush.top) / FULL) * side,
      ];
      context.globalAlpha = 0.12;
      context.fillStyle = style.getPropertyValue("--link");
      context.fillRect(...box);
      context.globalAlpha = 1;
      context.setLineDash([5, 4]);
      context.strokeRect(...box);
      context.setLineDash([]);
    }
    if (this.marked !== null) {
      context.beginPath();
      context.arc(...this.place(this.marked), 7, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /** Map coordinates of a pointer, from 0 to 65535. */
  at(event) {
    const box = this.overlay.getBoundingClientRect();
    const { side, left, top } = this.scale;
    return [
      ((event.clientX - box.left - left) / side) * FULL,
      ((event.clientY - box.top - top) / side) * FULL,
    ];
  }

  onDown(event) {
    if (!this.points || event.button !== 0) return;
    this.overlay.setPointerCapture(event.pointerId);
    this.drag = { start: this.at(event), x: event.clientX, y: event.clientY, brush: null };
  }

  onMove(event) {
    if (!this.drag) return;
    const moved = Math.hypot(event.clientX - this.drag.x, event.clientY - this.drag.y);
    if (moved < 5 && !this.drag.brush) return;
    this.drag.brush = rectangle(this.drag.start, this.at(event));
    this.drawOverlay();
  }

  onUp(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.brush) this.select(drag.brush);
    else this.pick(event);
  }

  select(brush) {
    this.brush = brush;
    this.drawOverlay();
    this.hooks.brush(brush);
  }

  pick(event) {
    const box = this.overlay.getBoundingClientRect();
    let best = null;
    let least = NEAR;
    for (const row of this.rows) {
      const [x, y] = this.place(row);
      const distance = Math.hypot(event.clientX - box.left - x, event.clientY - box.top - y);
      if (distance < least) [best, least] = [row, distance];
    }
    if (best !== null) this.hooks.pick(best);
  }

  onKey(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const grows = { "+": 1, "=": 1, "-": -1 };
    if (event.key === "Escape" && this.brush) {
      this.clearBrush();
      this.hooks.brush(null);
    } else if ((event.key in moves || event.key in grows) && this.points) {
      event.preventDefault();
      const old = this.brush || rectangle([0.4 * FULL, 0.4 * FULL], [0.6 * FULL, 0.6 * FULL]);
      const [x, y] = (moves[event.key] || [0, 0]).map((way) => way * STEP * FULL);
      const more = (grows[event.key] || 0) * (STEP / 2) * FULL;
      const corner = [old.left + x - more, old.top + y - more];
      this.select(rectangle(corner, [old.right + x + more, old.bottom + y + more]));
    }
  }
}

function rectangle(one, other) {
  const whole = (value) => Math.round(Math.min(Math.max(value, 0), FULL));
  return {
    left: whole(Math.min(one[0], other[0])), right: whole(Math.max(one[0], other[0])),
    top: whole(Math.min(one[1], other[1])), bottom: whole(Math.max(one[1], other[1])),
  };
}

/** Fit a canvas to its size on the page, clear it, and return its context. */
function prepare(canvas) {
  const { clientWidth, clientHeight } = canvas;
  if (!clientWidth || !clientHeight) return null;
  const density = window.devicePixelRatio || 1;
  const [width, height] = [clientWidth * density, clientHeight * density].map(Math.round);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, clientWidth, clientHeight);
  return context;
}
