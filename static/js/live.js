// The page's one event stream. <body data-live-topics="run,schedule" data-live-cursor="123"> says what it listens to and
// from where. Each message becomes a DOM event on the body: `ps:run`, `ps:progress`, `ps:log` …, detail = its data.

const EVENTS = ["run", "schedule", "thread", "process", "environment", "maintenance", "progress", "log", "logskip", "resync", "evicted"];
const HIDDEN_FOR = 3000; // A tab in the background gives its connection to one that is looked at: a host has six.
const LONGEST_PAUSE = 30000;

const body = document.body;
let source = null;
let timer = 0;
let pause = 1000;
let evicted = false;
// Where to go on: the last event we were told of, and how much of the log we have.
const place = { cursor: body.dataset.liveCursor ?? "", offset: "" };

function open() {
  clearTimeout(timer);
  if (source || document.hidden || !body.dataset.liveTopics) return;
  evicted = false;
  source = new EventSource(address());
  source.onopen = () => { pause = 1000; state("open"); };
  source.onerror = failed;
  for (const name of EVENTS) source.addEventListener(name, received);
}

function close(as) {
  clearTimeout(timer);
  source?.close();
  source = null;
  state(as);
}

function address() {
  const query = new URLSearchParams({ topics: body.dataset.liveTopics, cid: browser() });
  if (place.cursor) query.set("cursor", place.cursor);
  place.offset ||= document.querySelector("ps-log")?.getAttribute("offset") ?? "";
  if (place.offset) query.set("offset", place.offset);
  return `/live?${query}`;
}

// One name per browser, so that the server can end its oldest stream before the browser runs out of connections.
function browser() {
  try {
    const name = localStorage.getItem("ps-browser") || Array.from(crypto.getRandomValues(new Uint32Array(3)), (n) => n.toString(36)).join("");
    localStorage.setItem("ps-browser", name);
    return name;
  } catch {
    return "";
  }
}

// A lost connection is opened again by the browser itself; a refused one (logged out, server busy) is not.
function failed() {
  state("waiting");
  if (source?.readyState !== EventSource.CLOSED) return;
  close("waiting");
  timer = setTimeout(open, pause);
  pause = Math.min(pause * 2, LONGEST_PAUSE);
}

function state(name) {
  if (body.dataset.liveState === name) return;
  body.dataset.liveState = name;
  tell("ps:live", { state: name });
}

function received(event) {
  [place.cursor, place.offset] = event.lastEventId.split(".");
  if (event.type === "evicted") {
    evicted = true;
    close("evicted");
    return;
  }
  tell(`ps:${event.type}`, JSON.parse(event.data));
}

function tell(name, detail) {
  body.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (document.hidden) timer = setTimeout(() => close("hidden"), HIDDEN_FOR);
  else open();
});
// A page that gave way to others takes its turn again when it is used.
for (const sign of ["focus", "pointerdown", "keydown"]) addEventListener(sign, () => evicted && open(), true);
// What the browser keeps for "back" must not hold a connection.
addEventListener("pagehide", () => close("hidden"));
addEventListener("pageshow", (event) => event.persisted && open());

// Behind all scripts of the page: nobody misses the first message.
if (document.readyState === "complete") open();
else document.addEventListener("DOMContentLoaded", open);
