// An image dropped, chosen or pasted goes to the server, and what its models make of it comes back.
import { find, made } from "./page_parts.js";

const form = find("#try");
const [drop, file, said, wrong] = ["#drop", "#file", "#said", "#wrong"].map((part) => find(part));
let asked = 0;
let working = false;
let last; // the file that was given
let request = new AbortController();

function end(line, good) {
  working = false;
  said.textContent = good;
  wrong.textContent = line;
}

async function waits(mine, ticket) {
  const started = Date.now();
  while (mine === asked && working) {
    const before = await fetch(`/waiting?ticket=${ticket}`).then((answer) => answer.json(), () => 0);
    if (mine !== asked || !working) return;
    const seconds = Math.round((Date.now() - started) / 1000);
    said.textContent = before ? `Waiting: ${before} before yours. ${seconds} s` : `Working. ${seconds} s`;
    await new Promise((wake) => setTimeout(wake, 1000));
  }
}

async function send(image) {
  if (!image) return;
  const mine = ++asked;
  last = image;
  request.abort(); // the one before, which gives up its place
  request = new AbortController();
  find("#made").hidden = true;
  wrong.textContent = "";
  if (image.size > Number(form.dataset.bytes)) {
    return end(`${image.name} has ${(image.size / 2 ** 20).toFixed(0)} MiB, more than the ${form.dataset.bytes / 2 ** 20} allowed; shrink it, or use daf translate`, "");
  }
  [working, said.textContent] = [true, "Working."];
  const ticket = `${Date.now()}.${Math.random()}`;
  waits(mine, ticket);
  const row = find("#row")?.value;
  try {
    const answer = await fetch(`${form.dataset.send}&ticket=${ticket}${row ? `&row=${encodeURIComponent(row)}` : ""}`, {
      method: "POST",
      signal: request.signal,
      body: image,
      headers: { "Content-Type": "application/octet-stream" },
    });
    const came = await answer.json();
    if (mine !== asked) return; // another was dropped in the meantime
    if (came.error) return end(came.error, "");
    show(came);
    end("", "Done.");
  } catch (error) {
    if (mine === asked) end(`the server did not answer (${error.message}); does daf serve still run?`, "");
  }
}

function show({ pictures, notes, legend, laid }) {
  const by = Object.fromEntries(pictures.map((picture) => [picture.key, picture]));
  const put = (image, { url, caption }) => Object.assign(image, { src: url, alt: caption });
  find("#notes").replaceChildren(...notes.map((text) => made("li", { text })));
  find("#slider").hidden = !by.translation;
  if (by.translation) {
    put(find("#slider .before"), by.image);
    put(find("#slider .after"), by.translation);
  }
  const label = (name) => put(made("img", laid ? { class: "colours" } : {}), by[`${name} label`]);
  const pairs = ["image", "translation"].filter((name) => by[`${name} label`]);
  find("#classes").hidden = !pairs.length;
  find("#strength").closest("p").hidden = !laid;
  find("#overlays").replaceChildren(
    ...pairs.map((name) =>
      made("figure", {
        children: [
          made("div", { class: "stack", children: laid ? [put(made("img"), by[name]), label(name)] : [label(name)] }),
          made("figcaption", { text: !laid ? by[`${name} label`].caption : name === "image" ? "The image as it is" : "Its translation" }),
        ],
      }),
    ),
  );
  find("#legend").replaceChildren(
    ...legend
      .filter(({ shares = [1] }) => Math.max(...shares) > 0)
      .map(({ name, colour, shares = [] }) => {
        const swatch = made("i");
        swatch.style.background = `rgb(${colour.join()})`;
        return made("li", { children: [swatch, `${name} ${shares.map((share) => `${(100 * share).toFixed(1)} %`).join(" → ")}`] });
      }),
  );
  find("#made").hidden = false;
  split();
  strength();
}

function split() {
  const at = `${find("#split").value}%`;
  find("#slider .after").style.clipPath = `inset(0 0 0 ${at})`;
  find(".slide").style.setProperty("--at", at);
}

function strength() {
  for (const colours of document.querySelectorAll(".colours")) colours.style.opacity = find("#strength").value / 100;
}

find("#split").addEventListener("input", split);
find("#strength").addEventListener("input", strength);
for (const name of ["pointerdown", "pointermove"]) {
  find(".slide").addEventListener(name, (event) => {
    if (name === "pointermove" && !event.buttons && event.pointerType === "mouse") return;
    const box = event.currentTarget.getBoundingClientRect();
    find("#split").value = (100 * (event.clientX - box.left)) / box.width;
    split();
    event.preventDefault();
  });
}
file.addEventListener("change", () => {
  send(file.files[0]);
  file.value = ""; // the same file may be chosen again
});
find("#row")?.addEventListener("change", () => send(last));
form.addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragover", "dragenter"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault(); // anywhere on the page: else the browser would leave it and show the file
  drop.classList.remove("over");
  send(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => send(event.clipboardData.files[0]));
