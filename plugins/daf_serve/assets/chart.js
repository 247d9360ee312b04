// Loss curves of one run, or of two, as they come in.
import { all, find, made, sheets } from "./pages.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [600, 240, 52, 22, 8];

function drawn(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
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
    const [first, last] = [Math.ceil(low), Math.floor(high)];
    const every = Math.max(1, Math.ceil((last - first) / 4));
    const powers = Array.from({ length: Math.max(0, last - first + 1) }, (_, place) => first + place).filter((power) => (power - first) % every === 0);
    return powers.length > 1 ? powers : [low, (low + high) / 2, high];
  }
  const rough = (high - low) / 4;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

class Chart {
  constructor(title) {
    this.curves = new Map();
    this.off = new Set();
    this.svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `curves: ${title}` });
    this.log = made("input", { type: "checkbox" });
    this.smooth = made("input", { type: "range", min: 0, max: 98, value: 0 });
    this.step = made("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "step whose values are shown" });
    this.output = made("output");
    this.names = made("ul", { class: "names" });
    const label = (text, control) => made("label", { children: [`${text} `, control] });
    this.box = made("section", {
      class: "chart",
      children: [
        made("h3", { text: title }),
        made("div", { class: "options", children: [label("log scale", this.log), label("smoothing", this.smooth)] }),
        this.svg,
        made("div", { class: "options at", children: [this.step, this.output] }),
        this.names,
      ],
    });
    this.follows = true;
    for (const control of [this.log, this.smooth]) control.addEventListener("input", () => this.draw());
    this.step.addEventListener("input", () => {
      this.follows = this.step.value === this.step.max;
      this.draw();
    });
    this.svg.addEventListener("pointermove", (event) => {
      const box = this.svg.getBoundingClientRect();
      const across = (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT);
      const wanted = this.first + across * (this.last - this.first);
      this.step.value = this.steps.reduce((best, step, place) => (Math.abs(step - wanted) < Math.abs(this.steps[best] - wanted) ? place : best), 0);
      this.follows = false;
      this.draw();
    });
    this.svg.addEventListener("pointerleave", () => {
      this.follows = true;
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
    const curves = [...this.curves].filter(([name]) => !this.off.has(name)).map(([, curve]) => curve);
    this.steps = [...new Set([...this.curves.values()].flatMap(({ points }) => points.map(([step]) => step)))].sort((a, b) => a - b);
    if (!this.steps.length) return;
    [this.first, this.last] = [this.steps[0], this.steps.at(-1)];
    this.step.max = this.steps.length - 1;
    if (this.follows) this.step.value = this.step.max;
    const now = this.steps[this.step.value];
    this.output.textContent = `step ${now}`;
    for (const curve of this.curves.values()) {
      const at = curve.points.findLast(([step]) => step <= now);
      curve.value.textContent = at ? short(at[1]) : "";
    }
    const log = this.log.checked;
    const factor = this.smooth.value / 100;
    const scale = (value) => (value === null || (log && value <= 0) ? null : log ? Math.log10(value) : value);
    const values = curves.flatMap(({ points }) => points.map(([, value]) => scale(value))).filter((value) => value !== null);
    let [low, high] = values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
    if (!values.length) [low, high] = [0, 1];
    if (high - low < 1e-12) [low, high] = [low - 0.5, high + 0.5];
    // Drawn in the pixels there are, so that letters keep their shape.
    const { width, height } = this.svg.getBoundingClientRect();
    const [wide, tall] = [width || WIDTH, height || HEIGHT];
    this.svg.setAttribute("viewBox", `0 0 ${wide} ${tall}`);
    const left = (LEFT / WIDTH) * wide;
    const x = (step) => left + (this.last > this.first ? (step - this.first) / (this.last - this.first) : 0.5) * (wide - left - 6);
    const y = (value) => TOP + (1 - (value - low) / (high - low)) * (tall - TOP - BOTTOM);
    const parts = ticks(low, high, log).flatMap((value) => [
      drawn("line", { class: "grid", x1: left, x2: wide, y1: y(value), y2: y(value) }),
      drawn("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, short(log ? 10 ** value : value)),
    ]);
    parts.push(drawn("text", { x: left, y: tall - 5 }, String(this.first)), drawn("text", { x: wide - 6, y: tall - 5, "text-anchor": "end" }, String(this.last)));
    const line = (points) => {
      let pen = "M";
      return points.map(([step, value]) => {
        const place = scale(value);
        if (place === null) return (pen = "M"), "";
        const to = `${pen}${x(step).toFixed(1)} ${y(place).toFixed(1)}${pen === "M" ? "h0" : ""}`; // a value alone is a dot
        pen = "L";
        return to;
      }).join("");
    };
    for (const { points, look } of curves) {
      if (factor) parts.push(drawn("path", { d: line(points), class: `raw ${look}` }));
      parts.push(drawn("path", { d: line(factor ? smoothed(points, factor) : points), class: look }));
    }
    parts.push(drawn("line", { class: "cursor", x1: x(now), x2: x(now), y1: TOP, y2: tall - BOTTOM }));
    this.svg.replaceChildren(...parts);
  }
}

/** Follows the run whose events come from `url` until it is over. */
function follow(url, { values, status, restart }) {
  const source = new EventSource(url);
  source.addEventListener("values", (event) => values(JSON.parse(event.data)));
  source.addEventListener("status", (event) => status?.(JSON.parse(event.data)));
  source.addEventListener("restart", () => restart?.());
  source.addEventListener("end", () => source.close());
  addEventListener("pagehide", () => source.close());
}

function onePage(live) {
  const charts = new Map();
  const show = sheets(find("#samples"));
  const chart = (stage) => {
    if (!charts.has(stage)) {
      charts.set(stage, new Chart(stage));
      find("#charts").append(charts.get(stage).box);
    }
    return charts.get(stage);
  };
  follow(live.dataset.events, {
    values(rows) {
      const changed = new Set();
      for (const { stage, step, values } of rows) {
        changed.add(chart(stage));
        for (const [name, value] of Object.entries(values)) chart(stage).add(name, step, value);
      }
      for (const one of changed) one.draw();
    },
    status({ state, note, stages, samples }) {
      const before = find("#state .state").textContent;
      if (before !== state) find("#state").replaceChildren(made("span", { class: `state ${state}`, text: state }));
      if (before !== state && state === "finished") return location.reload(); // with its scores
      find("#note").textContent = note;
      if (stages.length) {
        find("#stages").replaceChildren(
          ...stages.map(({ name, step, total }) =>
            made("li", {
              children: [
                made("span", { children: [made("b", { text: name }), total ? `${step} of ${total} steps` : `step ${step}`] }),
                ...(total ? [made("progress", { value: Math.min(step, total), max: total, "aria-label": name })] : []),
              ],
            }),
          ),
        );
      }
      show(samples);
    },
    restart() {
      charts.clear();
      find("#charts").replaceChildren();
    },
  });
}

function twoRuns(both) {
  const chosen = find("#value");
  const runs = all("span", both).map(({ dataset }, place) => ({ ...dataset, name: `${"AB"[place]}: ${dataset.title}`, curves: new Map() }));
  const show = () => {
    if (!chosen.value) return;
    const chart = new Chart(chosen.value);
    for (const { name, curves } of runs) {
      chart.name(name);
      for (const point of curves.get(chosen.value) ?? []) chart.add(name, ...point);
    }
    find("#charts").replaceChildren(chart.box);
    chart.draw();
  };
  chosen.addEventListener("change", show);
  for (const run of runs) {
    follow(run.events, {
      values(rows) {
        for (const { stage, step, values } of rows) {
          for (const [name, value] of Object.entries(values)) {
            // Each trains a row of its own name, and these are what is to be compared.
            const key = `${stage === `training on ${run.title}` ? "training on its own row" : stage}: ${name}`;
            if (!run.curves.has(key)) run.curves.set(key, []);
            run.curves.get(key).push([step, value]);
          }
        }
        const keys = [...new Set(runs.flatMap(({ curves }) => [...curves.keys()]))];
        if (keys.length !== chosen.options.length) {
          const before = chosen.value;
          chosen.replaceChildren(...keys.map((key) => made("option", { value: key, text: key })));
          chosen.value = before || keys[0];
        }
        show();
      },
      restart: () => run.curves.clear(),
    });
  }
}

const [live, both] = ["#live", "#both"].map((part) => find(part));
if (live) onePage(live);
if (both) twoRuns(both);
