// What every page does: lists that keep themselves fresh, two runs to compare, sheets of samples by step.
import { all, find } from "./page_parts.js";

function countTicks() {
  const form = find("#runs");
  if (!form) return;
  const ticked = all("input:checked", form).length;
  find("button", form).disabled = ticked !== 2;
  find("#ticked").textContent = ticked === 2 ? "" : ticked < 2 ? `Tick ${2 - ticked} more.` : "Tick only two.";
}

async function refresh() {
  const shown = find("#fresh");
  if (!shown || document.hidden) return;
  let text;
  try {
    const answer = await fetch(location.href);
    if (answer.status !== Number(shown.dataset.status ?? 200)) return location.reload(); // such as a report that was being made
    text = await answer.text();
  } catch {
    return; // the server has ended; what was seen last stays
  }
  const fresh = find("#fresh", new DOMParser().parseFromString(text, "text/html"));
  if (!fresh || fresh.innerHTML === refresh.last) return;
  const first = refresh.last === undefined;
  refresh.last = fresh.innerHTML;
  if (first) return;
  const ticked = new Set(all("input:checked", shown).map((box) => box.value));
  const [at, name] = [document.activeElement?.getAttribute("aria-label"), document.activeElement?.textContent];
  shown.replaceChildren(...fresh.childNodes);
  for (const box of all("input", shown)) box.checked = ticked.has(box.value);
  all("a, input, button", shown).find((one) => (at ? one.getAttribute("aria-label") === at : name && one.textContent === name))?.focus();
  countTicks();
}

/** Lets a range choose among the sheets of samples; the last is followed while it is the one shown. */
export function sheets(section) {
  const [range, output, link, image] = ["input", "output", ".sheet", "img"].map((part) => find(part, section));
  let steps = [];
  const show = () => {
    const step = steps[range.value];
    output.textContent = step;
    link.href = image.src = `${section.dataset.sample}${step}`;
  };
  range.addEventListener("input", show);
  return (given) => {
    if (!given.length || given.join() === steps.join()) return;
    const last = Number(range.value) === steps.length - 1 || !steps.length;
    steps = given;
    range.max = steps.length - 1;
    range.hidden = steps.length === 1;
    if (last) range.value = steps.length - 1;
    section.hidden = false;
    show();
  };
}

countTicks();
document.addEventListener("change", countTicks);
for (const section of all(".samples")) sheets(section)(section.dataset.steps.split(",").map(Number));
if (find("#fresh")) {
  refresh();
  setInterval(refresh, 5000);
  document.addEventListener("visibilitychange", refresh);
}
