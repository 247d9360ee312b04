// Loss curves of one run, or of two, as they come in.
import { sheets } from "./pages.js";
import { all, Chart, find, made } from "./page_parts.js";

/** A chart with its own scale and smoothing. */
function chartOf(title) {
  const [log, smooth] = [made("input", { type: "checkbox" }), made("input", { type: "range", min: 0, max: 98, value: 0 })];
  const chart = new Chart(title, () => ({ log: log.checked, factor: smooth.value / 100, came: true }));
  const label = (text, control) => made("label", { children: [`${text} `, control] });
  find("h3", chart.box).after(made("div", { class: "options", children: [label("log scale", log), label("smoothing", smooth)] }));
  for (const control of [log, smooth]) control.addEventListener("input", () => chart.draw());
  return chart;
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
      charts.set(stage, chartOf(stage));
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
    const chart = chartOf(chosen.value);
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
            const key = `${stage === run.stage ? "training on its own row" : stage}: ${name}`;
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
