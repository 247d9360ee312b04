// --- sections, light and dark ---
for (const section of all("main > section[id]")) {
  find("nav").append(made("a", { href: "#" + section.id, text: section.dataset.nav }));
}
find("#theme").addEventListener("click", () => {
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
  find("button", head).addEventListener("click", () => {
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
  const panels = [...find("#" + chooser.dataset.for).children];
  const show = () => {
    const chosen = Number(find("input:checked", chooser).value);
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
for (const box of all(".compare")) follow(find("input", box), value => box.style.setProperty("--at", value + "%"));
for (const scrub of all(".scrub")) {
  const input = find("input", scrub), frames = all(".frames img", scrub);
  follow(input, place => {
    frames.forEach((frame, index) => { frame.hidden = index !== place; });
    const step = input.dataset.steps.split(" ")[place];
    find("output", scrub).textContent = step;
    input.setAttribute("aria-valuetext", "step " + step);
  });
}
follow(find(".opacity input"), value => {
  document.documentElement.style.setProperty("--opacity", value / 100);
  find(".opacity output").textContent = value + " %";
});

// --- pictures of one image, as large as the window takes, each in the place of the last ---
if (find(".layers")) {
  const place = made("div");
  const turns = ["previous", "next"].map((name, which) => made("button", { type: "button", "aria-label": name, text: "←→"[which] }));
  const close = made("form", { method: "dialog", children: [made("button", { text: "close" })] });
  const viewer = made("dialog", { id: "viewer", "aria-label": "Picture", children: [place, made("div", { class: "turns", children: [...turns, close] })] });
  let figures = [], at = 0;
  const turn = (by) => {
    at = (at + by + figures.length) % figures.length;
    const figure = figures[at].cloneNode(true), { width, height } = find("img", figure);
    find("button", figure).remove();
    figure.style.setProperty("--ratio", width / height);
    place.replaceChildren(figure);
  };
  turns.forEach((button, which) => button.addEventListener("click", () => turn(which ? 1 : -1)));
  viewer.addEventListener("keydown", ({ key }) => { if (/^Arrow(Left|Right)$/.test(key)) turn(key === "ArrowRight" ? 1 : -1); });
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  for (const layers of all(".layers")) {
    all("figure", layers).forEach((figure, index, together) => {
      figure.append(made("button", { type: "button", class: "enlarge", "aria-label": "enlarge " + figure.textContent.trim(), text: "⤢" }));
      figure.addEventListener("click", () => { [figures, at] = [together, index]; turn(0); viewer.showModal(); });
    });
  }
  document.body.append(viewer);
}

// --- loss curves ---
if (find("#curve-data")) {
  const settings = () => ({ log: find("#log").checked, factor: Number(find("#smooth").value) });
  const charts = JSON.parse(find("#curve-data").textContent).map(({ title, series }) => {
    const chart = new Chart(title, settings);
    for (const { name, points } of series) for (const point of points) chart.add(name, ...point);
    return chart;
  });
  find("#charts").append(...charts.map(chart => chart.box));
  const redraw = () => charts.forEach(chart => chart.draw());
  find("#log").addEventListener("change", redraw);
  follow(find("#smooth"), value => { find("#smooth + output").textContent = value; redraw(); });
}
