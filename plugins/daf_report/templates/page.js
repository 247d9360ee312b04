"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const one = (selector, root = document) => root.querySelector(selector);

// --- sections, light and dark ---
for (const section of all("main > section[id]")) {
  const link = document.createElement("a");
  link.href = "#" + section.id;
  link.textContent = section.dataset.nav;
  one("nav").append(link);
}
one("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("daf-theme", root.dataset.theme); } catch { /* a browser may keep nothing for files */ }
});

// --- tables: by number where a cell begins with one, else by text; what is not there comes last ---
function sorted(rows, column, down) {
  const key = row => {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text);
    return text === "-" ? null : Number.isNaN(number) ? text : number;
  };
  return rows.map(row => [key(row), row]).sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return down ? -order : order;
  }).map(([, row]) => row);
}
for (const head of all(".sortable thead th")) {
  one("button", head).addEventListener("click", () => {
    const down = head.cellIndex ? head.ariaSort !== "descending" : head.ariaSort === "ascending";
    for (const other of head.parentElement.cells) other.ariaSort = "none";
    head.ariaSort = down ? "descending" : "ascending";
    const body = head.closest("table").tBodies[0];
    body.append(...sorted([...body.rows], head.cellIndex, down));
  });
}

// --- a table that goes on to the right fades there ---
for (const box of all(".scroll")) {
  const look = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
}

// --- one of several panels; without a script all of them are there ---
for (const chooser of all(".chooser")) {
  const panels = [...one("#" + chooser.dataset.for).children];
  const show = () => {
    const chosen = Number(one("input:checked", chooser).value);
    panels.forEach((panel, place) => { panel.hidden = place !== chosen; });
  };
  chooser.addEventListener("change", show);
  show();
}

// --- sliders ---
function follow(input, act) {
  if (!input) return;
  input.addEventListener("input", () => act(Number(input.value)));
  act(Number(input.value));
}
for (const box of all(".compare")) follow(one("input", box), value => box.style.setProperty("--at", value + "%"));
for (const scrub of all(".scrub")) {
  const input = one("input", scrub), frames = all(".frames img", scrub);
  follow(input, place => {
    frames.forEach((frame, index) => { frame.hidden = index !== place; });
    const step = input.dataset.steps.split(" ")[place];
    one("output", scrub).textContent = step;
    input.setAttribute("aria-valuetext", "step " + step);
  });
}
follow(one(".opacity input"), value => {
  one("#overlay").style.setProperty("--opacity", value / 100);
  one(".opacity output").textContent = value + " %";
});

// --- loss curves ---
const SVG = "http://www.w3.org/2000/svg", WIDTH = 560, HEIGHT = 280, LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 26;
function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
const short = value => value === null || value === undefined ? "-" : String(Number(value.toPrecision(3)));
function smoothed(points, weight) {  // an exponential mean without a bias to its start
  let mean = 0, mass = 0;
  return points.map(([step, value]) => {
    if (value === null) return [step, null];
    mean = weight * mean + (1 - weight) * value;
    mass = weight * mass + 1 - weight;
    return [step, mean / mass];
  });
}
function ticks(low, high, log) {
  if (log) {
    const first = Math.ceil(low - 1e-9), last = Math.floor(high + 1e-9), found = [];
    if (last - first < 1) return [low, (low + high) / 2, high].map(at => [at, short(10 ** at)]);
    for (let power = first; power <= last; power += Math.ceil((last - first) / 5)) found.push([power, short(10 ** power)]);
    return found;
  }
  const rough = (high - low) / 4 || 1, ten = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 5, 10].find(times => times * ten >= rough) * ten, found = [];
  for (let at = Math.ceil(low / unit) * unit; at <= high + unit / 1e6; at += unit) found.push([at, short(at)]);
  return found;
}
function chart(data, settings) {
  const box = document.createElement("div"), title = document.createElement("h3"), svg = drawn("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const label = document.createElement("label"), input = document.createElement("input"), output = document.createElement("output");
  const readout = document.createElement("div");
  box.className = "chart";
  readout.className = "readout";
  title.textContent = data.title;
  const steps = [...new Set(data.series.flatMap(series => series.points.map(point => point[0])))].sort((a, b) => a - b);
  Object.assign(input, { type: "range", min: 0, max: steps.length - 1, step: 1, value: steps.length - 1 });
  label.append("step ", input, output);
  const shown = data.series.map(() => true);
  const buttons = data.series.map((series, place) => {
    const button = document.createElement("button"), line = document.createElement("i");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    line.style.background = `var(--s${(place + 1) % 8})`;
    button.append(line, document.createElement("span"));
    button.addEventListener("click", () => {
      shown[place] = !shown[place];
      button.setAttribute("aria-pressed", String(shown[place]));
      draw();
    });
    readout.append(button);
    return button;
  });
  box.append(title, svg, label, readout);
  svg.style.display = input.style.display = steps.length > 1 ? "" : "none";  // one value is read, not drawn
  let lines = [], cursor, across;
  function draw() {
    const { log, weight } = settings;
    lines = data.series.map(series => smoothed(series.points, weight));
    const scale = value => log ? (value > 0 ? Math.log10(value) : null) : value;
    const values = lines.flatMap((line, place) => shown[place] ? line.map(point => point[1] === null ? null : scale(point[1])) : []).filter(value => value !== null);
    let low = Math.min(...values), high = Math.max(...values);
    if (!values.length) [low, high] = [0, 1];
    if (!log && low > 0 && low < high / 2) low = 0;
    if (high - low < 1e-12) [low, high] = [low - 0.5, high + 0.5];
    const first = steps[0], last = steps.at(-1) === first ? first + 1 : steps.at(-1);
    across = step => LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / (last - first);
    const down = at => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (at - low) / (high - low);
    svg.replaceChildren();
    for (const [at, text] of ticks(low, high, log)) {
      svg.append(drawn("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: down(at), y2: down(at) }));
      svg.append(drawn("text", { x: LEFT - 6, y: down(at) + 4, "text-anchor": "end" }, text));
    }
    for (const [at, text] of ticks(first, last, false)) {
      svg.append(drawn("text", { x: across(at), y: HEIGHT - 8, "text-anchor": at > last - (last - first) / 20 ? "end" : "middle" }, text));
    }
    lines.forEach((line, place) => {
      if (!shown[place]) return;
      let path = "", pen = "M";
      for (const [step, value] of line) {
        const at = value === null ? null : scale(value);
        if (at === null) { pen = "M"; continue; }
        path += `${pen}${across(step).toFixed(1)} ${down(at).toFixed(1)}${pen === "M" ? "h0" : ""}`;  // a value alone is a dot
        pen = "L";
      }
      svg.append(drawn("path", { d: path, stroke: `var(--s${(place + 1) % 8})` }));
    });
    cursor = drawn("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM });
    svg.append(cursor);
    svg.setAttribute("aria-label", `${data.title}, steps ${first} to ${steps.at(-1)}: ` +
      data.series.map((series, place) => `${series.name} ${short(lines[place][0][1])} to ${short(lines[place].at(-1)[1])}`).join("; "));
    read();
  }
  function read() {
    const step = steps[Number(input.value)];
    output.textContent = step;
    input.setAttribute("aria-valuetext", "step " + step);
    cursor.setAttribute("x1", across(step));
    cursor.setAttribute("x2", across(step));
    buttons.forEach((button, place) => {
      const point = lines[place].find(one => one[0] === step);
      one("span", button).textContent = `${data.series[place].name} ${short(point ? point[1] : null)}`;
    });
  }
  svg.addEventListener("pointermove", event => {
    const bounds = svg.getBoundingClientRect(), x = (event.clientX - bounds.left) * WIDTH / bounds.width;
    let nearest = 0;
    steps.forEach((step, place) => { if (Math.abs(across(step) - x) < Math.abs(across(steps[nearest]) - x)) nearest = place; });
    input.value = nearest;
    read();
  });
  input.addEventListener("input", read);
  draw();
  return { box, draw };
}
if (one("#curve-data")) {
  const settings = { log: false, weight: 0 };
  const charts = JSON.parse(one("#curve-data").textContent).map(data => chart(data, settings));
  one("#charts").append(...charts.map(made => made.box));
  const redraw = () => charts.forEach(made => made.draw());
  one("#log").addEventListener("change", event => { settings.log = event.target.checked; redraw(); });
  follow(one("#smooth"), value => { settings.weight = value; one("#smooth + output").textContent = value; redraw(); });
}
