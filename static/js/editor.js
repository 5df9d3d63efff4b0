// <ps-editor>: the one place where source is edited. A textarea for the text, a gutter for line numbers, a painted
// copy behind the text for colours. It asks its page for nothing but a form around it with a `revision` field.

const PAUSE = 700; // ms of silence after which a draft is kept
const PAINT_LIMIT = 200_000; // characters; beyond it colours would slow the typing

const TOKENS = new RegExp(
  [
    String.raw`(?<comment>#[^\n]*)`,
    String.raw`(?<string>(?:\b[rRbBfFuUtT]{1,2})?(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\[\s\S]|[^"\\\n])*"?|'(?:\\[\s\S]|[^'\\\n])*'?))`,
    String.raw`(?<number>\b(?:0[xXoObB][\da-fA-F_]+|\d[\d_]*\.?[\d_]*(?:[eE][+-]?\d+)?j?)\b)`,
    String.raw`(?<keyword>\b(?:False|None|True|and|as|assert|async|await|break|case|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|match|nonlocal|not|or|pass|raise|return|try|while|with|yield)\b)`,
    String.raw`(?<decorator>^[ \t]*@[\w.]+)`,
    String.raw`(?<call>\b[A-Za-z_]\w*(?=\())`,
  ].join("|"),
  "gm",
);

function paint(target, text) {
  const pieces = document.createDocumentFragment();
  let at = 0;
  for (const match of text.matchAll(TOKENS)) {
    if (match.index > at) pieces.append(text.slice(at, match.index));
    const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    const piece = document.createElement("span");
    piece.className = `tok-${kind}`;
    piece.textContent = match[0];
    pieces.append(piece);
    at = match.index + match[0].length;
  }
  pieces.append(text.slice(at), "\n");
  target.replaceChildren(pieces);
}

class Editor extends HTMLElement {
  connectedCallback() {
    this.area = this.querySelector("textarea");
    this.paper = this.querySelector(".editor-paint");
    this.gutter = this.querySelector(".editor-gutter");
    this.form = this.closest("form");
    this.area.addEventListener("input", () => this.changed());
    this.area.addEventListener("scroll", () => this.follow(), { passive: true });
    this.area.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.fit()).observe(this.area);
    this.draw();
    if (this.dataset.faultLine) this.mark(Number(this.dataset.faultLine));
    addEventListener("hashchange", () => this.goToAddress());
    this.goToAddress();
    // Who may only read has no draft to keep.
    if (this.dataset.draft && this.form) this.keeper = new Keeper(this);
  }

  get text() { return this.area.value; }

  draw() {
    const text = this.text;
    const lines = text.split("\n").length;
    if (lines !== this.lines) {
      this.lines = lines;
      const rows = document.createDocumentFragment();
      for (let line = 1; line <= lines; line += 1) {
        const row = document.createElement("span");
        row.textContent = line;
        rows.append(row);
      }
      this.gutter.replaceChildren(rows);
      this.mark(this.faultLine);
    }
    const colourful = text.length <= PAINT_LIMIT;
    this.classList.toggle("is-plain", !colourful);
    if (colourful) paint(this.paper, text);
    this.fit();
  }

  // Numbers and colours end where the text does: behind a scroll bar they would show, and not scroll as far as the text.
  fit() {
    const { area } = this;
    this.style.setProperty("--bar-x", `${area.offsetWidth - area.clientWidth}px`);
    this.style.setProperty("--bar-y", `${area.offsetHeight - area.clientHeight}px`);
    this.follow();
  }

  follow() {
    this.gutter.scrollTop = this.area.scrollTop;
    this.paper.scrollTop = this.area.scrollTop;
    this.paper.scrollLeft = this.area.scrollLeft;
  }

  changed() {
    this.draw();
    this.keeper?.touched();
  }

  mark(line) {
    this.faultLine = line ?? null;
    this.gutter.querySelector(".is-faulty")?.classList.remove("is-faulty");
    if (line) this.gutter.children[line - 1]?.classList.add("is-faulty");
    this.area.toggleAttribute("aria-invalid", Boolean(line));
  }

  // `#L12` in the page's address: links from failures lead to the line.
  goToAddress() {
    const line = Number(/^#L(\d+)$/.exec(location.hash)?.[1] ?? 0);
    if (line < 1 || line > this.lines) return;
    this.mark(line);
    this.goTo(line);
    this.area.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(this.area).lineHeight));
  }

  goTo(line, column = 1) {
    const before = this.text.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    const at = before + Math.max(0, column - 1);
    this.area.focus();
    this.area.setSelectionRange(at, at);
  }

  key(event) {
    if (event.key === "Escape") { this.leaving = true; return; }
    if ((event.ctrlKey || event.metaKey) && event.key === "/") { event.preventDefault(); this.comment(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || this.area.readOnly) return;
    if (event.key === "Tab" && !this.leaving) { event.preventDefault(); this.indent(event.shiftKey); }
    else if (event.key === "Enter") { event.preventDefault(); this.newLine(); }
    else if (event.key === "Backspace") this.unindentAtCaret(event);
    if (event.key !== "Shift") this.leaving = false;
  }

  // execCommand is old, but the only way to change text that the browser's undo knows of.
  insert(text) { document.execCommand("insertText", false, text) || this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, "end"); }

  newLine() {
    const before = this.text.slice(0, this.area.selectionStart);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    const indent = /^[ \t]*/.exec(line)[0];
    this.insert(`\n${indent}${/:\s*(#.*)?$/.test(line) ? "    " : ""}`);
  }

  unindentAtCaret(event) {
    const { selectionStart: at, selectionEnd: end } = this.area;
    const line = this.text.slice(this.text.lastIndexOf("\n", at - 1) + 1, at);
    if (at !== end || line.length < 4 || line.trim() || line.length % 4) return;
    event.preventDefault();
    this.area.setSelectionRange(at - 4, at);
    document.execCommand("delete");
  }

  indent(back) {
    if (!back && this.area.selectionStart === this.area.selectionEnd) {
      const before = this.text.slice(0, this.area.selectionStart);
      const column = before.length - before.lastIndexOf("\n") - 1;
      this.insert(" ".repeat(4 - (column % 4)));
      return;
    }
    this.changeLines((line) => (back ? line.replace(/^( {1,4}|\t)/, "") : line && `    ${line}`));
  }

  comment() {
    if (this.area.readOnly) return;
    this.changeLines((line, lines) => {
      const all = lines.filter((other) => other.trim()).every((other) => /^\s*#/.test(other));
      if (!line.trim()) return line;
      return all ? line.replace(/^(\s*)# ?/, "$1") : line.replace(/^(\s*)/, "$1# ");
    });
  }

  changeLines(change) {
    const from = this.text.lastIndexOf("\n", this.area.selectionStart - 1) + 1;
    const last = this.text.indexOf("\n", Math.max(this.area.selectionEnd - 1, from));
    const to = last < 0 ? this.text.length : last;
    const lines = this.text.slice(from, to).split("\n");
    const changed = lines.map((line) => change(line, lines)).join("\n");
    this.area.setSelectionRange(from, to);
    this.insert(changed);
    this.area.setSelectionRange(from, from + changed.length);
  }
}

// Keeps what is typed: a draft after each pause, a version on Ctrl-S. One request at a time; the newest text wins here,
// never over somebody else's: the server compares the revision we began from.
class Keeper {
  constructor(editor) {
    this.editor = editor;
    this.form = editor.form;
    this.revision = this.form.elements.revision;
    this.state = document.getElementById("editor-state");
    this.fault = document.getElementById("editor-fault");
    this.conflict = document.getElementById("editor-conflict");
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
    this.conflict?.addEventListener("click", (event) => this.resolve(event.target.closest("[data-conflict]")?.dataset.conflict));
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "s") { event.preventDefault(); this.save(); }
    });
    document.addEventListener("visibilitychange", () => document.hidden && this.dirty && this.keep());
    addEventListener("beforeunload", (event) => { if (this.dirty || this.stopped) event.preventDefault(); });
    document.addEventListener("submit", (event) => { if (event.target !== this.form) this.keep(); });
    document.addEventListener("click", (event) => { if (event.target.closest("[data-save-and-run]")) this.saveAndRun(event.target.closest("form")); });
    document.addEventListener("htmx:after:swap", () => this.compare());
    // The newest version's text; not known when the draft was ahead of it from the start.
    this.version = this.form.hasAttribute("data-changed") ? null : editor.text;
    this.compare();
    this.fault.addEventListener("click", () => this.editor.faultLine && this.editor.goTo(this.editor.faultLine, this.column));
  }

  // Is what is typed in the newest version? What the page offers follows from it.
  compare() {
    const unsaved = this.editor.text !== this.version;
    for (const element of document.querySelectorAll("[data-when-unsaved]")) element.hidden = !unsaved;
    for (const element of document.querySelectorAll("[data-when-saved]")) element.hidden = unsaved;
    document.getElementById("save-button")?.classList.toggle("primary", unsaved);
    document.getElementById("run-button")?.classList.toggle("primary", !unsaved);
  }

  touched() {
    this.dirty = true;
    this.compare();
    this.say(this.stopped ? "Not saved: changed elsewhere" : "Typing…");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), PAUSE);
  }

  say(words, tone = "") {
    this.state.textContent = words;
    this.state.dataset.tone = tone;
    if (tone === "bad") document.body.dispatchEvent(new CustomEvent("ps:refused", { bubbles: true }));
  }

  keep() {
    clearTimeout(this.timer);
    if (this.stopped || !this.dirty) return undefined;
    return this.send(this.editor.dataset.draft, (answer) => this.say(answer.fault ? "Draft saved; it does not compile yet" : "Draft saved"));
  }

  save() {
    clearTimeout(this.timer);
    if (this.stopped) return undefined;
    this.say("Saving…");
    return this.send(this.form.action, (answer, text) => (answer.version ? this.saved(answer, text) : this.refused(answer)));
  }

  async saveAndRun(form) {
    await this.save();
    if (this.editor.text === this.version) form.requestSubmit();
    else form.closest("dialog").close(); // Why it is not saved is said in the editor.
  }

  saved(answer, text) {
    this.say(`Saved as version ${answer.version}`, "good");
    this.form.elements.message.value = "";
    this.version = text;
    this.compare();
    for (const number of document.querySelectorAll("[data-version]")) number.textContent = answer.version;
    const tag = document.getElementById("version-tag");
    if (tag) tag.textContent = `v${answer.version}`;
    const first = !tag;
    document.body.dispatchEvent(new CustomEvent("ps:saved", { detail: answer }));
    if (first) location.reload(); // Run, files and the rest of the page begin with the first version.
  }

  refused(answer) {
    this.say("Draft saved, but not saved as a version: it does not compile", "bad");
    if (answer.fault.line) this.editor.goTo(answer.fault.line, answer.fault.column ?? 1);
  }

  async send(address, done) {
    await this.sending;
    this.sending = this.post(address, done);
    return this.sending;
  }

  async post(address, done) {
    const body = new FormData(this.form), text = this.editor.text;
    this.dirty = false;
    let response, answer;
    try {
      response = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" }, keepalive: this.editor.text.length < 50_000 });
      if (!response.headers.get("Content-Type")?.includes("json")) { await this.renew(); return; }
      answer = await response.json();
    } catch {
      this.later("Not saved: the server cannot be reached. Trying again…");
      return;
    }
    if (!response.ok) { this.failed(answer); return; }
    this.revision.value = answer.revision;
    this.show(answer.fault);
    done(answer, text);
    if (this.dirty) this.touched();
  }

  later(words) {
    this.dirty = true;
    this.say(words, "bad");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.keep(), 4000);
  }

  // No JSON: logged out meanwhile, or logged in anew, which makes the page's token stale. The text stays either way.
  async renew() {
    const response = await fetch(location.href);
    if (response.redirected) { this.later("Not saved: you are logged out. Log in in another tab; your text stays here."); return; }
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("#editor-form [name=csrfmiddlewaretoken]");
    if (fresh) this.form.elements.csrfmiddlewaretoken.value = fresh.value;
    this.later("Not saved yet. Trying again…");
  }

  failed(answer) {
    this.dirty = true;
    this.say(answer.code === "conflict" ? "Not saved: changed elsewhere" : `Not saved: ${answer.error}`, "bad");
    if (answer.code !== "conflict") return;
    this.stopped = true;
    this.conflict.hidden = false;
  }

  show(fault) {
    this.editor.mark(fault?.line);
    this.column = fault?.column ?? 1;
    if (this.fault.textContent !== (fault?.message ?? "")) this.fault.textContent = fault?.message ?? "";
  }

  resolve(choice) {
    if (!choice) return;
    this.stopped = false;
    this.conflict.hidden = true;
    if (choice === "reload") { this.dirty = false; location.reload(); return; }
    this.revision.value = "any";
    this.dirty = true;
    this.keep();
  }
}

customElements.define("ps-editor", Editor);
