// What pages of runs share, those that open offline and those of a server: elements, and charts of loss curves.

export const find = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

/** A new element; text is only ever set as text. */
export function made(tag, { text, children = [], ...attributes } = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

function drawn(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const short = (value) => (value === null ? "not a number" : Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(Number(value.toPrecision(4))));

/** Running mean that forgets by `factor` a value, without the bias of its beginning (Adam's correction). */
function smoothed(points, factor) {
  let [mean, weight] = [0, 0];
  return points.map(([step, value]) => {
    if (value === null) return [step, null];
    mean = factor * mean + (1 - factor) * value;
    weight = factor * weight + 1 - factor;
    return [step, mean / weight];
  });
}

function ticks(low, high, log) {
  if (log) {
    const [first, last] = [Math.ceil(low - 1e-9), Math.floor(high + 1e-9)];
    const every = Math.max(1, Math.ceil((last - first) / 5));
    const powers = Array.from({ length: Math.max(0, last - first + 1) }, (_, place) => first + place).filter((power) => (power - first) % every === 0);
    if (powers.length > 1) return powers;
    const found = [0, 1].flatMap((power) => [1, 2, 5].map((times) => Math.log10(times) + Math.floor(low) + power)).filter((value) => value >= low && value <= high);
    return found.length > 1 ? found : ticks(10 ** low, 10 ** high, false).map(Math.log10);
  }
  const rough = (high - low) / 4;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

const [LEFT, RIGHT, TOP, BOTTOM] = [52, 8, 8, 22];

/** Curves by step, with a step to read their values at, and a button for each that hides it. */
export class Chart {
  /** `settings()` says whether to draw on a `log` scale, smoothed by which `factor`, and over the values as they `came`. */
  constructor(title, settings) {
    this.title = title;
    this.settings = settings;
    this.curves = new Map();
    this.off = new Set();
    this.svg = drawn("svg", { role: "img" });
    this.step = made("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "step whose values are shown" });
    this.output = made("output");
    this.names = made("ul", { class: "names" });
    this.box = made("div", { class: "chart", children: [made("h3", { text: title }), this.svg, made("label", { class: "at", children: ["step ", this.step, this.output] }), this.names] });
    this.follows = this.kept = true; // the last step, which may move on; and whether it does so again after a pointer has left
    this.step.addEventListener("input", () => {
      this.follows = this.kept = this.step.value === this.step.max;
      this.draw();
    });
    this.svg.addEventListener("pointermove", (event) => {
      const { left, width } = this.svg.getBoundingClientRect();
      const wanted = this.first + ((event.clientX - left - LEFT) / (width - LEFT - RIGHT)) * (this.last - this.first);
      this.step.value = this.steps.reduce((best, step, place) => (Math.abs(step - wanted) < Math.abs(this.steps[best] - wanted) ? place : best), 0);
      this.follows = false;
      this.draw();
    });
    this.svg.addEventListener("pointerleave", () => {
      this.follows = this.kept;
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  /** Adds a value; a run that goes on from a checkpoint repeats steps, and the later word counts. */
  add(name, step, value) {
    if (!this.curves.has(name)) this.name(name);
    const { points } = this.curves.get(name);
    while (points.length && points.at(-1)[0] >= step) points.pop();
    points.push([step, value]);
  }

  name(name) {
    const place = this.curves.size;
    const look = `s${place % 8}${place % 16 > 7 ? " dashed" : ""}`;
    const value = made("b");
    const mark = drawn("svg", { viewBox: "0 0 30 10", "aria-hidden": "true" });
    mark.append(drawn("path", { d: "M0 5H30", class: look }));
    const button = made("button", { type: "button", "aria-pressed": "true", children: [mark, made("span", { text: name }), value] });
    button.addEventListener("click", () => {
      this.off.has(name) ? this.off.delete(name) : this.off.add(name);
      button.setAttribute("aria-pressed", String(!this.off.has(name)));
      this.draw();
    });
    this.names.append(made("li", { children: [button] }));
    this.curves.set(name, { points: [], look, value });
  }

  draw() {
    this.steps = [...new Set([...this.curves.values()].flatMap(({ points }) => points.map(([step]) => step)))].sort((a, b) => a - b);
    if (!this.steps.length) return;
    [this.first, this.last] = [this.steps[0], this.steps.at(-1)];
    this.step.max = this.steps.length - 1;
    if (this.follows) this.step.value = this.step.max;
    const now = this.steps[this.step.value];
    this.output.textContent = now;
    this.step.setAttribute("aria-valuetext", `step ${now}`);
    const { log, factor, came } = this.settings();
    const lines = [...this.curves].map(([name, { points, look, value }]) => {
      const line = factor ? smoothed(points, factor) : points;
      const at = line.findLast(([step]) => step <= now);
      value.textContent = at ? short(at[1]) : "";
      return { name, points, look, line };
    });
    const told = lines.filter(({ line }) => line.length).map(({ name, line }) => `${name} ${short(line[0][1])} to ${short(line.at(-1)[1])}`);
    this.svg.setAttribute("aria-label", `curves: ${this.title}, steps ${this.first} to ${this.last}: ${told.join("; ")}`);
    const shown = lines.filter(({ name }) => !this.off.has(name));
    const scale = (value) => (value === null || (log && value <= 0) ? null : log ? Math.log10(value) : value);
    const values = shown.flatMap(({ points, line }) => (came ? points : line).map(([, value]) => scale(value))).filter((value) => value !== null);
    let [low, high] = values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
    if (!values.length) [low, high] = [0, 1];
    if (!log && low > 0 && low < high / 2) low = 0;
    if (high - low < 1e-12) [low, high] = [low - 0.5, high + 0.5];
    // Drawn in the pixels there are, so that letters keep their shape.
    const box = this.svg.getBoundingClientRect();
    const [wide, tall] = [box.width || 600, box.height || 240];
    this.svg.setAttribute("viewBox", `0 0 ${wide} ${tall}`);
    const x = (step) => LEFT + (this.last > this.first ? (step - this.first) / (this.last - this.first) : 0.5) * (wide - LEFT - RIGHT);
    const y = (value) => TOP + (1 - (value - low) / (high - low)) * (tall - TOP - BOTTOM);
    const parts = ticks(low, high, log).flatMap((value) => [
      drawn("line", { class: "grid", x1: LEFT, x2: wide - RIGHT, y1: y(value), y2: y(value) }),
      drawn("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(log ? 10 ** value : value)),
    ]);
    for (const step of this.last > this.first ? ticks(this.first, this.last, false) : [this.first]) {
      parts.push(drawn("text", { x: x(step), y: tall - 5, "text-anchor": x(step) > 0.95 * wide ? "end" : "middle" }, String(Number(step.toPrecision(7)))));
    }
    const path = (points, look) => {
      let pen = "M";
      const d = points.map(([step, value]) => {
        const place = scale(value);
        if (place === null) return (pen = "M"), "";
        const to = `${pen}${x(step).toFixed(1)} ${y(place).toFixed(1)}${pen === "M" ? "h0" : ""}`; // a value alone is a dot
        pen = "L";
        return to;
      });
      return drawn("path", { d: d.join(""), class: look });
    };
    for (const { points, look, line } of shown) {
      if (came && factor) parts.push(path(points, `raw ${look}`));
      parts.push(path(line, look));
    }
    parts.push(drawn("line", { class: "cursor", x1: x(now), x2: x(now), y1: TOP, y2: tall - BOTTOM }));
    this.svg.replaceChildren(...parts);
  }
}
