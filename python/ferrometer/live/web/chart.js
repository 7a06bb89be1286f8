// Lines over time on a canvas, and the heat map of a histogram's bins.
import { clock, mark, text } from "./format.js";
import { make, say } from "./dom.js";
import { shown } from "./data.js";

const LEFT = 52, BOTTOM = 20, TOP = 8, RIGHT = 8;

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function prepare(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const density = Math.min(devicePixelRatio || 1, 3);
  const [w, h] = [Math.max(1, Math.round(width * density)), Math.max(1, Math.round(height * density))];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const pen = canvas.getContext("2d");
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return { pen, width, height };
}

/** Round steps from 0 (or the least) to at least `most`; bytes in powers of two. */
function ticks(most, unit) {
  if (!(most > 0)) return unit === "ratio" ? [0, 0.5, 1] : [0, 1];
  const raw = most / 3;
  const base = unit.startsWith("B") ? 2 ** Math.floor(Math.log2(raw)) : 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * base).find((one) => one >= raw * 0.999);
  const all = [];
  for (let value = 0; value < most + step * 0.999; value += step) all.push(value);
  return all;
}

function times(from, to, width) {
  const wanted = Math.max(2, Math.floor(width / 110));
  const step = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200].find((one) => (to - from) / one <= wanted) ?? 86400;
  const shift = new Date(from * 1000).getTimezoneOffset() * 60;
  const all = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) all.push(at);
  return all;
}

class Picture {
  constructor(title, { tall = false } = {}) {
    this.canvas = make("canvas", { tabIndex: 0, role: "img", "aria-label": title });
    this.legend = make("ul", { className: "legend" });
    this.tip = make("div", { className: "tip", hidden: true });
    this.title = title;
    this.area = make("div", { className: tall ? "chart tall" : "chart" }, this.canvas, this.tip);
    this.node = make("figure", {}, this.area, this.legend);
    this.at = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.point(null));
    this.canvas.addEventListener("blur", () => this.point(null));
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const { left, right } = this.scale ?? { left: LEFT, right: LEFT };
      const grain = ((right - left) * shown.span.step) / shown.span.seconds;
      this.point(Math.min(right, Math.max(left, (this.at ?? right) + step * Math.max(grain, 1))));
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  point(x) {
    this.at = x;
    this.draw();
  }

  frame(view, low, high, unit, marks, place) {
    const { pen, width, height } = view;
    const to = Math.floor(shown.now / shown.span.step) * shown.span.step, from = to - shown.span.seconds;
    const scale = { left: LEFT, right: width - RIGHT, top: TOP, bottom: height - BOTTOM, from, to };
    scale.x = (at) => scale.left + ((at - from) / (to - from)) * (scale.right - scale.left);
    scale.y = place ?? ((value) => scale.bottom - ((value - low) / (high - low || 1)) * (scale.bottom - scale.top));
    pen.strokeStyle = color("--grid");
    pen.fillStyle = color("--soft");
    pen.lineWidth = 1;
    for (const value of marks) {
      const y = Math.round(scale.y(value, scale)) + 0.5;
      pen.beginPath();
      pen.moveTo(scale.left, y);
      pen.lineTo(scale.right, y);
      pen.stroke();
      pen.textAlign = "right";
      pen.fillText(mark(value, unit), scale.left - 7, y);
    }
    pen.textAlign = "center";
    for (const at of times(from, to, width)) {
      const x = scale.x(at);
      if (x > scale.left + 14 && x < scale.right - 14) pen.fillText(clock(at * 1000, shown.span.seconds < 1800), x, height - 8);
    }
    this.scale = scale;
    return scale;
  }

  showTip(words) {
    const { left, right } = this.scale;
    if (words === null) { this.tip.hidden = true; return; }
    this.tip.replaceChildren(...words.map((line) => make("div", {}, line)));
    this.tip.hidden = false;
    const isRight = this.at > (left + right) / 2;
    this.tip.style.left = isRight ? "" : `${this.at + 10}px`;
    this.tip.style.right = isRight ? `${this.canvas.clientWidth - this.at + 10}px` : "";
  }
}

/** Lines: `set` gives them, each `{ name, labels?, points }` with points by their time in seconds. */
export class Lines extends Picture {
  constructor(title, unit, options = {}) {
    super(title, options);
    this.unit = unit;
    this.most = options.most ?? 0;
    this.lines = [];
  }

  set(lines) {
    this.lines = lines.slice(0, 8);
    this.draw();
  }

  draw() {
    if (!this.canvas.isConnected || this.canvas.clientWidth === 0) return;
    const view = prepare(this.canvas);
    const { pen } = view;
    let high = this.most;
    for (const { points } of this.lines) for (const value of points.values()) if (Number.isFinite(value) && value > high) high = value;
    const marks = ticks(high, this.unit);
    const scale = this.frame(view, 0, marks.at(-1), this.unit, marks);
    pen.save();
    pen.beginPath();
    pen.rect(scale.left, 0, scale.right - scale.left, scale.bottom + 1);
    pen.clip();
    this.lines.forEach((line, index) => this.stroke(pen, line, index, scale));
    pen.restore();
    this.describe(scale, pen);
  }

  stroke(pen, { points }, index, scale) {
    pen.strokeStyle = color(`--s${index}`);
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    const pieces = [];
    let piece = [], last = -Infinity;
    for (const [at, value] of points) {
      if (!Number.isFinite(value)) continue;
      if (at - last > shown.span.step * 2.5) pieces.push((piece = []));
      piece.push([scale.x(at), scale.y(value)]);
      last = at;
    }
    for (const each of pieces) {
      pen.beginPath();
      each.forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      if (each.length === 1) pen.arc(each[0][0], each[0][1], 1, 0, 7);
      pen.stroke();
      if (this.lines.length === 1 && each.length > 1) {
        pen.lineTo(each.at(-1)[0], scale.bottom);
        pen.lineTo(each[0][0], scale.bottom);
        pen.globalAlpha = 0.1;
        pen.fillStyle = pen.strokeStyle;
        pen.fill();
        pen.globalAlpha = 1;
      }
    }
  }

  describe(scale, pen) {
    const step = shown.span.step;
    let time = null;
    if (this.at !== null && this.at >= scale.left - 4) {
      const exactly = scale.from + ((this.at - scale.left) / (scale.right - scale.left)) * (scale.to - scale.from);
      time = Math.min(scale.to, Math.round(exactly / step) * step);
      pen.strokeStyle = color("--soft");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(Math.round(scale.x(time)) + 0.5, scale.top);
      pen.lineTo(Math.round(scale.x(time)) + 0.5, scale.bottom);
      pen.stroke();
    }
    const values = this.lines.map(({ name, points }) => [name, time === null ? [...points.values()].at(-1) : points.get(time)]);
    this.showTip(time === null ? null : [clock(time * 1000, true), ...values.map(([name, value]) => `${name}  ${text(value, this.unit)}`)]);
    const latest = this.lines.map(({ name, points }) => [name, [...points.values()].at(-1)]);
    if (this.legend.childElementCount !== latest.length) {
      this.legend.replaceChildren(...latest.map((_, n) => make("li", {}, make("i", { className: `s${n}` }), make("span"), make("b"))));
    }
    latest.forEach(([name, value], n) => {
      const [, word, number] = this.legend.children[n].children;
      say(word, name);
      say(number, text(value, this.unit));
    });
    const words = latest.map(([name, value]) => `${name} ${text(value, this.unit)}`).join(", ");
    this.canvas.setAttribute("aria-label", `${this.title}: ${words || "nothing yet"}`);
  }
}

/** How many observations fell where, over time: rows are bins, in powers of two and their parts. */
export class HeatMap extends Picture {
  constructor(title, unit) {
    super(title, { tall: true });
    this.unit = unit;
    this.points = new Map();
  }

  set(series) {
    this.points = series?.points ?? new Map();
    this.draw();
  }

  draw() {
    if (!this.canvas.isConnected || this.canvas.clientWidth === 0) return;
    const view = prepare(this.canvas);
    let low = Infinity, high = 0, most = 0;
    const cells = [];
    for (const [at, { buckets }] of this.points) {
      for (const [, left, right, count] of buckets ?? []) {
        const [from, to, number] = [Number(left), Number(right), Number(count)];
        if (!(from > 0) || !(number > 0)) continue;
        low = Math.min(low, from);
        high = Math.max(high, to);
        most = Math.max(most, number);
        cells.push([at, from, to, number]);
      }
    }
    if (cells.length === 0) [low, high] = [1e-3, 1];
    const [bottom, top] = [Math.log(low / 1.1), Math.log(high * 1.1)];
    const place = (value, scale) => scale.bottom - ((Math.log(value) - bottom) / (top - bottom)) * (scale.bottom - scale.top);
    const marks = [];
    for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.log10(high) + 1; power++) {
      for (const times of top - bottom > 4.5 ? [1] : [1, 2, 5]) {
        const value = times * 10 ** power;
        if (Math.log(value) > bottom && Math.log(value) < top) marks.push(value);
      }
    }
    const scale = this.frame(view, low, high, this.unit, marks, place);
    const { pen } = view;
    const shades = ["--heat0", "--heat1", "--heat2"].map((name) => color(name).split(" ").map(Number));
    const wide = Math.max(1, scale.x(shown.span.step) - scale.x(0));
    for (const [at, from, to, number] of cells) {
      const x = scale.x(at) - wide;
      if (x + wide < scale.left || x > scale.right) continue;
      const y = place(to, scale);
      pen.fillStyle = shade(shades, Math.sqrt(number / most));
      pen.fillRect(Math.max(x, scale.left), y, Math.ceil(wide), Math.max(1, place(from, scale) - y));
    }
    this.describe(scale, place, cells);
  }

  describe(scale, place, cells) {
    const total = [...this.points.values()].reduce((sum, { count }) => sum + Number(count), 0);
    this.canvas.setAttribute("aria-label", `${this.title}: ${cells.length ? `${this.points.size} columns` : "nothing yet"}`);
    if (this.legend.childElementCount === 0) this.legend.append(make("li"));
    say(this.legend.firstChild, cells.length && total ? "Stronger colour: more requests. A row is a bin of the histogram" : "No requests in the time shown");
    if (this.at === null || this.at < scale.left) { this.showTip(null); return; }
    const time = scale.from + ((this.at - scale.left) / (scale.right - scale.left)) * (scale.to - scale.from);
    const at = Math.ceil(time / shown.span.step) * shown.span.step;
    const column = this.points.get(at);
    const words = (column?.buckets ?? []).filter(([, , , count]) => Number(count) > 0).sort((one, other) => Number(other[3]) - Number(one[3]));
    this.showTip([clock(at * 1000, true), ...words.slice(0, 6).map(([, left, right, count]) =>
      `${text(Number(left), this.unit)} to ${text(Number(right), this.unit)}:  ${text(Number(count), "/s")}`)]);
  }
}

function shade([low, middle, high], share) {
  const [from, to, part] = share < 0.5 ? [low, middle, share * 2] : [middle, high, share * 2 - 1];
  return `rgb(${from.map((start, n) => Math.round(start + (to[n] - start) * part)).join(" ")})`;
}
