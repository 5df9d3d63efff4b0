// The builder of processes: order by drag, by buttons and by Alt with the arrow keys; steps of one stage side by side.
// The list itself is the truth, as fields of one form: `step-beside` says that a step runs beside the one above it.

const list = document.getElementById("steps");
const steps = () => [...list.querySelectorAll(":scope > [data-step]")];
const flag = (step) => step.querySelector("[name='step-beside']");
const nameOf = (step) => step.getAttribute("aria-label");
const announce = (text) => document.body.dispatchEvent(new CustomEvent("ps:announce", { detail: { text } }));

// Stages as lists of steps, from the flags; pages that only show have the flags as they were rendered.
function stages() {
  const found = [];
  for (const step of steps()) {
    if (found.length && isBeside(step)) found.at(-1).push(step);
    else found.push([step]);
  }
  return found;
}

const isBeside = (step) => (flag(step) ? flag(step).value === "1" : step.hasAttribute("data-beside"));

function draw() {
  let position = 0;
  stages().forEach((stage, index) => {
    stage.forEach((step, place) => {
      position += 1;
      step.dataset.position = position;
      step.dataset.stage = index + 1;
      step.dataset.of = stage.length > 4 ? "more" : stage.length;
      step.toggleAttribute("data-first", place === 0);
      step.toggleAttribute("data-beside", place > 0);
      step.querySelector(".step-number").dataset.number = stage.length > 1 ? `${index + 1}${String.fromCharCode(97 + (place % 26))}` : index + 1;
      if (flag(step)) controls(step, position, place > 0);
    });
  });
  const empty = document.querySelector("[data-steps-empty]");
  if (empty) empty.hidden = position > 0;
}

function controls(step, position, beside) {
  flag(step).value = beside ? "1" : "0";
  const button = step.querySelector("[data-beside]");
  button.setAttribute("aria-pressed", String(beside));
  button.disabled = position === 1;
  step.querySelector("[data-move='-1']").disabled = position === 1;
  step.querySelector("[data-move='1']").disabled = position === steps().length;
}

// A moved step stays in its stage while it touches it, joins another when it lands inside that one, else it is a stage
// of its own; the others stay as they were.
function rearranged(moved, was) {
  const order = steps(), at = order.indexOf(moved);
  const mine = was.get(moved), above = was.get(order[at - 1]), below = was.get(order[at + 1]);
  const stays = above === mine || below === mine, joins = above !== undefined && above === below;
  const stageOf = new Map(was).set(moved, stays ? mine : joins ? above : Symbol("own"));
  order.forEach((step, index) => { flag(step).value = index && stageOf.get(step) === stageOf.get(order[index - 1]) ? "1" : "0"; });
  changed();
}

const stagesNow = () => new Map(stages().flatMap((stage, index) => stage.map((step) => [step, index])));

function place(step) {
  const beside = stages()[Number(step.dataset.stage) - 1].filter((other) => other !== step).map(nameOf);
  return `step ${step.dataset.position} of ${steps().length}${beside.length ? `, beside ${beside.join(" and ")}` : ""}`;
}

let dirty = false;
// A form that was refused comes back with what is not saved.
let unsaved = document.getElementById("save-button")?.classList.contains("primary") ?? false;

function touched() {
  dirty = unsaved = true;
  showUnsaved();
}

// What the page offers follows from it; editor.js does the same for a script.
function showUnsaved() {
  for (const element of document.querySelectorAll("[data-when-unsaved]")) element.hidden = !unsaved;
  document.getElementById("save-button")?.classList.toggle("primary", unsaved);
  document.getElementById("run-button")?.classList.toggle("primary", !unsaved);
}

function changed() {
  touched();
  draw();
}

function move(step, by, focus = step) {
  const order = steps(), at = order.indexOf(step), other = order[at + by];
  if (!other) { announce(`${nameOf(step)} is ${by < 0 ? "the first" : "the last"} step.`); return; }
  const was = stagesNow();
  other[by < 0 ? "before" : "after"](step);
  rearranged(step, was);
  (focus.disabled ? step : focus).focus({ preventScroll: true });
  step.scrollIntoView({ block: "nearest" });
  announce(`${nameOf(step)} is now ${place(step)}.`);
}

function toggleBeside(step) {
  flag(step).value = flag(step).value === "1" ? "0" : "1";
  changed();
  announce(`${nameOf(step)} is now ${place(step)}.`);
}

function remove(step) {
  const order = steps(), at = order.indexOf(step), next = order[at + 1];
  // What stood beside a removed first step of a stage goes on standing where it was, as the stage's first.
  if (next && isBeside(next) && !isBeside(step)) flag(next).value = "0";
  step.remove();
  changed();
  announce(`${nameOf(step)} is removed.`);
  (next ?? order[at - 1] ?? document.querySelector(".library input"))?.focus();
}

function listen() {
  list.addEventListener("click", (event) => {
    const step = event.target.closest("[data-step]"), button = event.target.closest("button");
    if (!step || !button) return;
    if (button.dataset.move) move(step, Number(button.dataset.move), button);
    else if (button.hasAttribute("data-beside")) toggleBeside(step);
    else if (button.hasAttribute("data-remove")) remove(step);
  });
  list.addEventListener("keydown", (event) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key], step = event.target.closest("[data-step]");
    if (!by || !step || !event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move(step, by, event.target);
  });
  new MutationObserver(added).observe(list, { childList: true });
  const form = document.getElementById("builder-form");
  form.addEventListener("input", touched);
  document.addEventListener("htmx:after:swap", showUnsaved);
  form.addEventListener("submit", () => { dirty = false; });
  addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
}

// htmx puts a step that was chosen from the library at the end of the list.
function added(records) {
  const fresh = records.flatMap((record) => [...record.addedNodes]).filter((node) => node.matches?.("[data-step]") && !node.dataset.position);
  if (!fresh.length) return;
  changed();
  for (const step of fresh) {
    step.scrollIntoView({ block: "nearest" });
    announce(`${nameOf(step)} is added as ${place(step)}.`);
  }
}

function makeSortable() {
  let was;
  globalThis.Sortable?.create(list, {
    handle: ".step-grip",
    draggable: "[data-step]",
    animation: 120,
    onStart: () => { was = stagesNow(); },
    onEnd: ({ item, oldIndex, newIndex }) => {
      if (oldIndex === newIndex) return;
      rearranged(item, was);
      announce(`${nameOf(item)} is now ${place(item)}.`);
    },
  });
}

if (list) draw();
if (list?.hasAttribute("data-editable")) {
  showUnsaved();
  listen();
  makeSortable();
}
document.querySelector("[data-goto]")?.addEventListener("change", ({ target }) => { dirty = false; location.search = `?team=${encodeURIComponent(target.value)}`; });
