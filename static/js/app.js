// What every page can do: theme, menus, dialogs, confirmations, toasts, times that stay true.
// One listener per kind on the document, so pieces that htmx swaps in need no wiring.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// Theme

function showTheme() {
  const choice = document.documentElement.dataset.theme ?? "system";
  for (const button of $$("[data-theme-choice]")) button.setAttribute("aria-checked", String(button.dataset.themeChoice === choice));
}

function chooseTheme(choice) {
  if (choice === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  try { localStorage.setItem("ps-theme", choice); } catch { /* kept for this page only */ }
  showTheme();
}

// Times. Words as in core/templatetags/ui.py.

const MINUTE = 60, HOUR = 3600, DAY = 86400;
const two = (number) => String(number).padStart(2, "0");

function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.trunc(milliseconds)} ms`;
  if (milliseconds < 10000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.trunc(seconds / MINUTE)} min ${two(seconds % MINUTE)} s`;
  if (seconds < DAY) return `${Math.trunc(seconds / HOUR)} h ${two(Math.trunc((seconds % HOUR) / MINUTE))} min`;
  return `${Math.trunc(seconds / DAY)} d ${Math.trunc((seconds % DAY) / HOUR)} h`;
}

function agoWords(seconds) {
  if (seconds < 5) return "just now";
  for (const [size, word] of [[DAY, "d"], [HOUR, "h"], [MINUTE, "min"]]) {
    if (seconds >= size) return `${Math.trunc(seconds / size)} ${word} ago`;
  }
  return `${Math.trunc(seconds)} s ago`;
}

// A ticking duration counts whole seconds: tenths would make the page restless.
const tick = (milliseconds) => (milliseconds < 10000 ? `${Math.max(0, Math.trunc(milliseconds / 1000))} s` : duration(milliseconds));
const exact = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const withZone = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

const WORDS = {
  ago: (moment, now) => agoWords((now - moment) / 1000),
  since: (moment, now) => tick(now - moment),
  until: (moment, now) => (moment - now < 1000 ? "now" : `in ${tick(moment - now)}`),
  exact: (moment) => exact.format(moment),
};

function refreshTimes(root = document) {
  const now = Date.now();
  for (const element of $$("time[data-time]", root)) {
    const moment = Date.parse(element.dateTime);
    const words = WORDS[element.dataset.time]?.(moment, now);
    if (words && element.textContent !== words) element.textContent = words;
    if (element.dataset.zoned !== element.dateTime) {
      element.title = withZone.format(moment);
      element.dataset.zoned = element.dateTime;
    }
  }
}

setInterval(() => document.hidden || refreshTimes(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || refreshTimes());

// Toasts and announcements

const TOAST_ICONS = { good: "circle-check", bad: "circle-x", warn: "alert", live: "loader", idle: "info" };

function symbol(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.appendChild(document.createElementNS(svg.namespaceURI, "use")).setAttribute("href", `${document.body.dataset.sprite}#${name}`);
  return svg;
}

function toast({ text, tone = "idle", url = "", key = "" }) {
  const stack = $("#toasts");
  if (!stack) return;
  if (key) $(`[data-key="${CSS.escape(key)}"]`, stack)?.remove();
  if (tone === "bad") dropGoodNews();
  const box = document.createElement("div");
  box.className = `toast ${tone}`;
  box.dataset.key = key;
  const words = document.createElement("p");
  const holder = url ? words.appendChild(Object.assign(document.createElement("a"), { href: url })) : words;
  holder.textContent = text;
  const close = Object.assign(document.createElement("button"), { type: "button", className: "icon-button small" });
  close.dataset.dismiss = "";
  close.setAttribute("aria-label", "Dismiss");
  close.title = "Dismiss";
  close.append(symbol("x"));
  box.append(symbol(TOAST_ICONS[tone] ?? "info"), words, close);
  stack.append(box);
  while (stack.children.length > 4) stack.firstElementChild.remove();
  leaveLater(box, tone);
}

// What was told before something failed is not the last word any more.
function dropGoodNews() {
  for (const box of $$("#toasts > .good")) box.remove();
}

const REFUSAL = ".alert.bad[role='alert'], .has-errors";

// Bad news stays until it is dismissed.
function leaveLater(box, tone) {
  if (tone !== "bad") setTimeout(() => (box.matches(":hover, :focus-within") ? leaveLater(box, tone) : box.remove()), 6000);
}

// Captured: whoever tells need not let the event bubble.
document.addEventListener("ps:toast", (event) => toast(event.detail), true);
document.addEventListener("ps:refused", dropGoodNews, true);
document.addEventListener("ps:announce", (event) => { $("#announcer").textContent = event.detail.text; }, true);

// Dialogs, menus, copying

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  if (!target) return;
  for (const menu of $$("details.menu[open]")) if (!menu.contains(target)) menu.open = false;
  const hit = (selector) => target.closest(selector);
  let found;
  if ((found = hit("[data-dialog]"))) document.getElementById(found.dataset.dialog)?.showModal();
  else if ((found = hit("[data-close]"))) found.closest("dialog")?.close();
  else if ((found = hit("[data-dismiss]"))) found.closest(".toast, .alert")?.remove();
  else if ((found = hit("[data-theme-choice]"))) chooseTheme(found.dataset.themeChoice);
  else if ((found = hit("[data-copy]"))) copy(found);
  else if (target.matches("dialog.dialog") && outside(target, event)) target.close();
});

// A click on the backdrop is a click on the dialog itself, beyond its edges.
function outside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast({ text: "Copied.", tone: "good", key: "copy" });
  } catch {
    // The clipboard needs a secure address; a plain http one on the network is none.
    prompt("Copy this:", button.dataset.copy);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of $$("details.menu[open]")) { menu.open = false; $("summary", menu).focus(); }
    return;
  }
  const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable], ps-editor, dialog[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const search = $('main input[type="search"]');
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  }
});

// Confirmation: a form with data-confirm asks first, whether the browser or htmx sends it.

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset?.confirm || form.dataset.confirmed) return void delete form.dataset?.confirmed;
  event.preventDefault();
  event.stopImmediatePropagation();
  const submitter = event.submitter;
  ask(form.dataset).then((yes) => {
    if (!yes) return;
    form.dataset.confirmed = "yes";
    form.requestSubmit(submitter?.form === form ? submitter : null);
  });
}, { capture: true });

function ask({ confirm: title, confirmText = "", confirmLabel = "Continue", confirmTone = "" }) {
  const dialog = $("#confirm");
  $("#confirm-title").textContent = title;
  $("#confirm-text").textContent = confirmText;
  const yes = $("#confirm-yes");
  yes.textContent = confirmLabel;
  yes.className = `button primary ${confirmTone}`;
  dialog.returnValue = "no";
  dialog.showModal();
  yes.focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

// A plain form is sent once, however often the button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.target) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  setTimeout(() => delete form.dataset.sent, 4000);
});
addEventListener("pageshow", () => $$("form[data-sent]").forEach((form) => delete form.dataset.sent));

// Addresses without what was left empty.
document.addEventListener("htmx:config:request", (event) => {
  const { sourceElement, request } = event.detail.ctx;
  if (!sourceElement?.closest?.("form[data-tidy]") || !(request.body instanceof FormData)) return;
  for (const [name, value] of [...request.body]) if (value === "") request.body.delete(name);
});

// htmx: busy mark, errors in words, fresh times in what was swapped in

let requests = 0;
const busy = (change) => document.body.classList.toggle("is-busy", (requests = Math.max(0, requests + change)) > 0);
const quiet = (ctx) => ctx?.sourceElement?.matches?.("[hx-trigger*='ps:']");

// What a page was told of but could not fetch: it asks for all once more, soon, then less and less often.
const LONGEST_WAIT = 30000;
let patience = 1000;
let again = 0;
function askAgain() {
  clearTimeout(again);
  again = setTimeout(() => document.body.dispatchEvent(new CustomEvent("ps:resync", { bubbles: true })), patience);
  patience = Math.min(patience * 2, LONGEST_WAIT);
}
addEventListener("online", askAgain);

document.addEventListener("htmx:before:request", (event) => quiet(event.detail.ctx) || busy(1));
document.addEventListener("htmx:finally:request", (event) => quiet(event.detail.ctx) || busy(-1));
document.addEventListener("htmx:after:swap", () => { patience = 1000; refreshTimes(); showTheme(); });
document.addEventListener("htmx:response:error", (event) => {
  const { response, text, sourceElement } = event.detail.ctx;
  if (!quiet({ sourceElement })) dropGoodNews();
  else if (response.status >= 500) askAgain();
  if (response.status === 422 || quiet({ sourceElement })) return;
  const words = new DOMParser().parseFromString(text ?? "", "text/html").body.querySelector("[data-message]")?.textContent.trim();
  toast({ text: words || `The server could not do that (${response.status}). Try again, or reload the page.`, tone: "bad", key: "htmx" });
});
document.addEventListener("htmx:error", (event) => {
  if (!event.detail.ctx?.status?.startsWith?.("error")) return;
  if (quiet(event.detail.ctx)) askAgain();
  else toast({ text: "The server did not answer. Check the connection and try again.", tone: "bad", key: "htmx" });
});

// Start

showTheme();
refreshTimes();
for (const dialog of $$("dialog[data-open]")) dialog.showModal();
if ($(".toast.bad") || $(`main :is(${REFUSAL}), dialog :is(${REFUSAL})`)) dropGoodNews();
for (const box of $$(".toast")) leaveLater(box, box.classList.contains("bad") ? "bad" : "");
document.documentElement.dataset.ready = "yes";
