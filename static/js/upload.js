// <ps-upload>: a place to drop files, which puts each into the file field it belongs to. What it holds stays in the
// fields themselves, so the form is sent and checked as if the files had been chosen by hand.

const MAX_SAFE_NAME = 60;

function put(input, files) {
  if (!input || !files.length) return;
  const carrier = new DataTransfer();
  if (input.multiple) for (const file of input.files) if (!files.some((other) => other.name === file.name)) carrier.items.add(file);
  for (const file of files) carrier.items.add(file);
  input.files = carrier.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

class Upload extends HTMLElement {
  connectedCallback() {
    this.addEventListener("dragover", (event) => { if (hasFiles(event)) { event.preventDefault(); this.classList.add("is-over"); } });
    this.addEventListener("dragleave", () => this.classList.remove("is-over"));
    this.addEventListener("drop", (event) => { event.preventDefault(); event.stopPropagation(); this.classList.remove("is-over"); this.take([...event.dataTransfer.files]); });
  }

  field(name) { return this.dataset[name] ? document.querySelector(this.dataset[name]) : null; }

  take(files) {
    const script = this.field("script"), input = this.field("input");
    const main = script?.files.length ? undefined : files.find((file) => file.name.toLowerCase().endsWith(".py") && !this.closest("#thread-files"));
    const table = input?.files.length ? undefined : files.find((file) => file.name.toLowerCase().endsWith(".csv"));
    if (main) put(script, [main]);
    if (table) put(input, [table]);
    put(this.field("files"), files.filter((file) => file !== main && file !== table));
    const words = files.length === 1 ? `${files[0].name} is added.` : `${files.length} files are added.`;
    document.body.dispatchEvent(new CustomEvent("ps:announce", { detail: { text: words } }));
  }
}

customElements.define("ps-upload", Upload);

// Files dropped anywhere on the list open the dialog with them in it.
const dialog = document.getElementById("upload-thread");
if (dialog) {
  document.addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (!dialog.open) dialog.showModal();
    dialog.querySelector("ps-upload").take([...event.dataTransfer.files]);
  });
}

// The safe name while the name is typed; the rule is core/names.py, a suffix is added when it is taken.
const safe = (name) => name.normalize("NFKD").replace(/[^\x00-\x7f]/g, "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, MAX_SAFE_NAME).replace(/-+$/, "");

function showSafeNames() {
  for (const line of document.querySelectorAll("[data-safe-name-for]")) {
    const input = document.querySelector(line.dataset.safeNameFor);
    const script = document.querySelector(line.dataset.safeNameElse || null)?.files?.[0]?.name.replace(/\.py$/i, "").replaceAll("_", " ");
    const name = input?.value || script || "";
    line.hidden = !name.trim();
    line.querySelector("code").textContent = safe(name) || "thread";
  }
}
document.addEventListener("input", showSafeNames);
document.addEventListener("change", showSafeNames);
