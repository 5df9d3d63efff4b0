// Runs as they go on: progress without asking the server, words for screen readers, notices of runs that were watched.
// live.js tells of them by `ps:run` and `ps:progress`.

// Modules do not import each other: their addresses carry a version, and under a second one they would run twice.

const tell = (kind, detail) => document.body.dispatchEvent(new CustomEvent(kind, { bubbles: true, detail }));
const WORDS = { success: "succeeded", failed: "failed", timeout: "timed out", stopped: "was stopped", skipped: "was skipped", lost: "was lost" };
const TONES = { success: "good", failed: "bad", timeout: "bad", lost: "bad", stopped: "warn", skipped: "idle" };
const all = (name, value) => document.querySelectorAll(`[data-${name}="${value}"]`);

function setProgress(bars, share) {
  for (const bar of bars) {
    if (share === null || share === undefined) bar.removeAttribute("value");
    else bar.value = share;
  }
}

// By run and step: what the stream said last. Pieces that the server renders know only what is in the database.
const latest = new Map();

function showProgress(detail) {
  const share = shareOf(detail);
  if (share !== null) setProgress(all("progress", detail.run), share);
  setProgress(all("step-progress", `${detail.run}:${detail.position}`), detail.share);
  if (detail.message) for (const line of all("progress-message", detail.run)) line.textContent = detail.message;
  if (share !== null) for (const words of all("progress-share", detail.run)) words.textContent = ` · ${Math.trunc(share * 100)} %`;
}

document.addEventListener("ps:progress", ({ detail }) => {
  latest.set(`${detail.run}:${detail.position}`, detail);
  showProgress(detail);
}, true);
document.addEventListener("htmx:after:swap", () => {
  for (const detail of latest.values()) if (all("step-progress", `${detail.run}:${detail.position}`).length) showProgress(detail);
});

// The whole run's share, as far as the page can know it: steps that ended and the part of this one.
function shareOf({ run, share }) {
  const overview = document.getElementById("run-overview");
  const steps = Number(overview?.dataset.steps), done = Number(overview?.dataset.done);
  return share === null || !steps || Number(overview.dataset.run) !== run ? null : Math.min(1, (done + share) / steps);
}

// Runs that were opened while they went on, in this tab: their end is worth a notice wherever one is by then.

const KEY = "ps-watched";
const watched = () => { try { return JSON.parse(sessionStorage.getItem(KEY)) ?? []; } catch { return []; } };
const watch = (ids) => { try { sessionStorage.setItem(KEY, JSON.stringify(ids.slice(-50))); } catch { /* no notices then */ } };

const heading = document.getElementById("run-heading");
if (heading && !(heading.dataset.status in WORDS)) watch([...new Set([...watched(), Number(heading.dataset.run)])]);

document.addEventListener("ps:run", ({ detail }) => {
  const words = WORDS[detail.status];
  if (!words || !watched().includes(detail.id)) return;
  watch(watched().filter((id) => id !== detail.id));
  const text = `${detail.name} #${detail.number} ${words}.`;
  if (Number(document.getElementById("run-heading")?.dataset.run) === detail.id) {
    tell("ps:announce", { text: `${text} ${detail.reason ?? ""}` });
  } else {
    tell("ps:toast", { text, tone: TONES[detail.status], url: `/history/${detail.id}`, key: `run-${detail.id}` });
  }
}, true);
