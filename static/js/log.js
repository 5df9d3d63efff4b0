// <ps-log run="12" offset="0" download="/history/12/log">: a run's log as it grows. live.js brings the text (`ps:log`).
// However long the log is, the page keeps a bounded number of lines; the whole of it is to be had by download.

const BLOCK_LINES = 200;
const BLOCKS = 25;
const BLOCKS_WHILE_READING = 100; // Scrolled up: what somebody reads is not taken away so soon.
const LINE_CHARACTERS = 20000;
const QUEUE_CHARACTERS = 1 << 20;
const FRAME_MS = 8;
const AT_END = 24;

const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  if (text) element.textContent = text;
  return element;
}

// Colours (ECMA-48 SGR). All of them are mapped to sixteen that both themes define.

const PALETTE = [
  [0, 0, 0], [205, 49, 49], [13, 188, 121], [229, 229, 16], [36, 114, 200], [188, 63, 188], [17, 168, 205], [200, 200, 200],
  [102, 102, 102], [241, 76, 76], [35, 209, 139], [245, 245, 67], [59, 142, 234], [214, 112, 214], [41, 184, 219], [255, 255, 255],
];
const CUBE = [0, 95, 135, 175, 215, 255];

function nearest(red, green, blue) {
  let best = 0, distance = Infinity;
  PALETTE.forEach(([r, g, b], index) => {
    const d = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
    if (d < distance) [best, distance] = [index, d];
  });
  return best;
}

function indexed(n) {
  if (n < 16) return n;
  if (n > 231) return nearest(...Array(3).fill(8 + (n - 232) * 10));
  n -= 16;
  return nearest(CUBE[Math.floor(n / 36)], CUBE[Math.floor(n / 6) % 6], CUBE[n % 6]);
}

// `38;5;N` and `38;2;R;G;B`: the colour, and how many numbers it took.
function extended(codes, at) {
  if (codes[at + 1] === 5) return [indexed(codes[at + 2] & 255), 2];
  if (codes[at + 1] === 2) return [nearest(codes[at + 2], codes[at + 3], codes[at + 4]), 4];
  return [null, 0];
}

const SWITCHES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const ENDS = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };

class Pen {
  constructor() { this.reset(); }

  reset() { this.fg = this.bg = null; this.on = new Set(); }

  obey(codes) {
    for (let i = 0; i < codes.length; i += 1) {
      const code = codes[i];
      if (code === 0) this.reset();
      else if (SWITCHES[code]) this.on.add(SWITCHES[code]);
      else if (ENDS[code]) for (const name of ENDS[code]) this.on.delete(name);
      else if (code === 38 || code === 48) {
        const [colour, used] = extended(codes, i);
        this[code === 38 ? "fg" : "bg"] = colour;
        i += used;
      } else this.colour(code);
    }
  }

  colour(code) {
    if (code >= 30 && code <= 37) this.fg = code - 30;
    else if (code >= 40 && code <= 47) this.bg = code - 40;
    else if (code >= 90 && code <= 97) this.fg = code - 82;
    else if (code >= 100 && code <= 107) this.bg = code - 92;
    else if (code === 39) this.fg = null;
    else if (code === 49) this.bg = null;
  }

  get classes() {
    const names = [...this.on].map((name) => `log-${name}`);
    if (this.fg !== null) names.push(`log-fg-${this.fg}`);
    if (this.bg !== null) names.push(`log-bg-${this.bg}`);
    return names.join(" ");
  }
}

// Lines. A line is a list of [text, classes]; a carriage return starts it over, as progress bars want.

// Sequences that move the cursor and the like are dropped; OSC (links, titles) ends with BEL or ST.
// eslint-disable-next-line no-control-regex
const TOKEN = /\x1b\[([0-9;:?<=>]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|\x1b|\r+\n?|\n|[^\x1b\r\n]+/g;
// eslint-disable-next-line no-control-regex
const UNFINISHED = /(?:\x1b(?:\[[0-9;:?<=>]*[ -/]*|\][^\x07\x1b]{0,2000}\x1b?)?|\r+)$/;

class Lines {
  constructor() {
    this.pen = new Pen();
    this.rest = "";
    this.isError = false; // Of the text that is fed: did it come by standard error,
    this.at = 0; // and when, in milliseconds; 0 when that is not known.
    this.clear();
  }

  // Calls `done(line)` for each line that is complete; `line` is what there is of the next.
  feed(text, done) {
    text = this.rest + text;
    this.rest = UNFINISHED.exec(text)?.[0] ?? "";
    if (this.rest) text = text.slice(0, -this.rest.length);
    for (const [token, parameters, kind] of text.matchAll(TOKEN)) {
      const last = token[token.length - 1];
      if (last === "\n") {
        done(this.line);
        this.clear();
      } else if (token[0] === "\r") this.isReturned = true;
      else if (kind === "m") this.pen.obey((parameters || "0").split(/[;:]/).map(Number));
      else if (kind === "K" && parameters !== "1") { if (this.isReturned || parameters === "2") this.clear(); }
      else if (token[0] !== "\x1b") this.write(token);
    }
  }

  // What is unfinished will stay so: nothing more comes.
  end(done) {
    this.rest = "";
    if (this.line.length) done(this.line);
    this.clear();
  }

  write(text) {
    if (this.isReturned) this.clear();
    const room = LINE_CHARACTERS - this.length;
    this.length += text.length;
    if (room <= 0) return;
    this.line.cameAt ||= this.at;
    this.line.push([text.length > room ? `${text.slice(0, room)} …` : text, this.classes]);
  }

  get classes() {
    return this.isError ? `log-error ${this.pen.classes}`.trim() : this.pen.classes;
  }

  clear() {
    this.line = [];
    this.length = 0;
    this.isReturned = false;
  }
}

class PsLog extends HTMLElement {
  connectedCallback() {
    if (!this.view) this.build();
    this.listener = new AbortController();
    const options = { signal: this.listener.signal, capture: true };
    document.addEventListener("ps:log", ({ detail }) => detail.run === this.run && this.received(detail), options);
    document.addEventListener("ps:run", ({ detail }) => detail.id === this.run && detail.finished_at && this.ended(), options);
  }

  disconnectedCallback() {
    this.listener.abort();
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  get run() { return Number(this.getAttribute("run")); }

  build() {
    this.lines = new Lines();
    this.queue = [];
    this.queued = 0;
    this.offset = Number(this.getAttribute("offset") ?? 0);
    this.following = true;
    this.frame = 0;
    this.view = make("div", "log-view");
    this.setAttributes(this.view, { tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Log" });
    this.empty = make("p", "log-empty", this.getAttribute("size") === "0" && this.hasAttribute("ended") ? "This run printed nothing." : "No output so far.");
    this.view.append(this.empty);
    this.view.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.view.addEventListener("keydown", (event) => this.key(event));
    this.jump = make("button", "log-jump", "Jump to the end");
    this.jump.type = "button";
    this.jump.hidden = true;
    this.jump.addEventListener("click", () => { this.toEnd(); this.view.focus({ preventScroll: true }); });
    this.replaceChildren(this.bar(), this.view, this.jump);
  }

  setAttributes(element, attributes) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  }

  bar() {
    const bar = make("div", "log-bar");
    this.field = make("input", "log-search");
    this.setAttributes(this.field, { type: "search", placeholder: "Find in what is shown", "aria-label": "Find in the lines that are shown" });
    this.field.addEventListener("input", () => this.search());
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { event.preventDefault(); this.step(event.shiftKey ? -1 : 1); }
      if (event.key === "Escape" && this.field.value) { this.field.value = ""; this.search(); }
    });
    this.count = make("span", "log-count");
    this.count.setAttribute("role", "status");
    this.wrap = make("button", "log-wrap", "Wrap lines");
    this.wrap.type = "button";
    this.wrap.setAttribute("aria-pressed", "false");
    this.wrap.addEventListener("click", () => {
      const on = this.view.classList.toggle("log-wrapped");
      this.wrap.setAttribute("aria-pressed", String(on));
      if (this.following) this.toEnd();
    });
    this.times = make("button", "log-wrap", "Times");
    this.times.type = "button";
    this.setAttributes(this.times, { "aria-pressed": "false", title: "Show when each line came" });
    this.times.addEventListener("click", () => {
      this.times.setAttribute("aria-pressed", String(this.view.classList.toggle("log-timed")));
    });
    bar.append(this.field, this.count, this.streams(), this.times, this.wrap);
    return bar;
  }

  streams() {
    const choice = make("select", "log-streams");
    choice.setAttribute("aria-label", "Which lines are shown");
    for (const [value, words] of [["", "All lines"], ["log-errors-alone", "Errors"], ["log-output-alone", "Output"]]) {
      choice.add(new Option(words, value));
    }
    choice.addEventListener("change", () => {
      this.view.classList.remove("log-errors-alone", "log-output-alone");
      if (choice.value) this.view.classList.add(choice.value);
      if (this.following) this.toEnd();
    });
    return choice;
  }

  // Receiving: text waits for the next frame, so that a flood costs one drawing, not thousands.

  received({ offset, next, text, parts }) {
    if (next <= this.offset) return; // Told again after a reconnection.
    const skipped = offset - this.offset;
    this.offset = next;
    this.queue.push({ text, skipped: Math.max(0, skipped), parts: parts ?? [[text.length, 0, 0]] });
    this.queued += text.length;
    while (this.queued > QUEUE_CHARACTERS) this.dropOldest();
    this.frame ||= requestAnimationFrame(() => this.flush());
  }

  dropOldest() {
    const { text, skipped } = this.queue.shift();
    this.queued -= text.length;
    this.queue[0].skipped += text.length + skipped;
  }

  flush() {
    this.frame = 0;
    const until = performance.now() + FRAME_MS;
    while (this.queue.length && performance.now() < until) {
      const { text, skipped, parts } = this.queue.shift();
      this.queued -= text.length;
      if (skipped) this.skip(skipped);
      this.feed(text, parts);
    }
    this.showPartial();
    this.trim();
    if (this.following) this.toEnd();
    else this.jump.hidden = false;
    if (this.queue.length) this.frame = requestAnimationFrame(() => this.flush());
  }

  feed(text, parts) {
    let start = 0;
    parts.forEach(([length, stream, at], index) => {
      const end = index === parts.length - 1 ? text.length : start + length;
      Object.assign(this.lines, { isError: stream === 1, at });
      this.lines.feed(text.slice(start, end), (line) => this.add(line));
      start = end;
    });
  }

  ended() {
    if (!this.empty || this.offset || this.queue.length) return;
    this.empty.textContent = "This run printed nothing.";
  }

  // Drawing

  add(line) {
    const element = this.partial ?? this.newLine();
    this.partial = null;
    this.draw(element, line);
  }

  showPartial() {
    const { line } = this.lines;
    if (!line.length && !this.partial) return;
    this.partial ??= this.newLine();
    this.draw(this.partial, line);
  }

  newLine() {
    if (!this.block || this.block.childElementCount >= BLOCK_LINES) {
      this.empty?.remove();
      this.empty = null;
      this.block = this.view.appendChild(make("div", "log-block"));
    }
    return this.block.appendChild(make("div", "log-line"));
  }

  draw(element, line) {
    const errors = line.filter(([, classes]) => classes.startsWith("log-error")).length;
    element.classList.toggle("log-has-error", errors > 0);
    element.classList.toggle("log-all-error", errors > 0 && errors === line.length);
    if (line.cameAt) element.dataset.at = CLOCK.format(line.cameAt);
    if (line.length === 1 && !line[0][1]) element.textContent = line[0][0];
    else element.replaceChildren(...line.map(([text, classes]) => (classes ? make("span", classes, text) : text)));
    if (this.sought) this.mark(element);
  }

  skip(count) {
    this.lines.end((line) => this.add(line));
    this.partial = null;
    this.note(`${this.inWords(count)} skipped`);
    this.block = null;
  }

  inWords(bytes) {
    const units = ["B", "KiB", "MiB", "GiB"];
    let at = 0;
    while (bytes >= 1024 && at < units.length - 1) { bytes /= 1024; at += 1; }
    return `${at && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
  }

  note(words, where = "append") {
    this.empty?.remove();
    this.empty = null;
    const note = make("div", "log-note", `${words} – `);
    const link = make("a", "", "download the whole log");
    link.href = this.getAttribute("download") ?? `/api/v1/runs/${this.run}/log`;
    link.setAttribute("download", "");
    note.append(link);
    this.view[where](note);
    return note;
  }

  trim() {
    const most = this.following ? BLOCKS : BLOCKS_WHILE_READING;
    const blocks = this.view.getElementsByClassName("log-block");
    if (blocks.length <= most) return;
    while (blocks.length > most) {
      const oldest = blocks[0];
      while (oldest.previousSibling) oldest.previousSibling.remove();
      oldest.remove();
    }
    while (this.view.firstElementChild?.matches(".log-note")) this.view.firstElementChild.remove();
    this.note("Earlier lines are not shown here", "prepend").classList.add("log-first");
  }

  // Following the end

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.view;
    this.following = scrollHeight - scrollTop - clientHeight < AT_END;
    this.jump.hidden = this.following;
  }

  toEnd() {
    this.following = true;
    this.jump.hidden = true;
    this.view.scrollTop = this.view.scrollHeight;
    // Blocks that come into sight get their true height only now.
    requestAnimationFrame(() => { if (this.following) this.view.scrollTop = this.view.scrollHeight; });
  }

  key(event) {
    if (event.key === "End") { event.preventDefault(); this.toEnd(); }
    if (event.key === "/" && !event.ctrlKey && !event.metaKey) { event.preventDefault(); event.stopPropagation(); this.field.focus(); }
  }

  // Searching what is shown

  search() {
    this.sought = this.field.value.toLowerCase();
    this.current = null;
    for (const line of this.view.getElementsByClassName("log-line")) this.mark(line);
    this.view.querySelector(".log-current")?.classList.remove("log-current");
    this.step(1);
  }

  mark(line) {
    line.classList.toggle("log-hit", Boolean(this.sought) && line.textContent.toLowerCase().includes(this.sought));
  }

  // To the next or the previous hit, from the first or the last one on.
  step(by) {
    const hits = [...this.view.querySelectorAll(".log-hit")];
    if (!hits.length) {
      this.count.textContent = this.sought ? "Not found" : "";
      return;
    }
    const at = hits.indexOf(this.current);
    const index = at < 0 && by < 0 ? hits.length - 1 : (at + by + hits.length) % hits.length;
    this.current?.classList.remove("log-current");
    this.current = hits[index];
    this.current.classList.add("log-current");
    this.following = false;
    this.jump.hidden = false;
    this.current.scrollIntoView({ block: "center" });
    this.count.textContent = `${index + 1} of ${hits.length}`;
  }
}

customElements.define("ps-log", PsLog);
