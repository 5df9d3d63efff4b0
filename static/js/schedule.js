// The form of a schedule: templates and examples fill the cron field, a new one begins in the browser's zone with a time soon to come.
// The preview is asked from the server by htmx whenever the form changes.

const form = document.getElementById("schedule-form");
const changed = () => form.dispatchEvent(new CustomEvent("ps:changed", { bubbles: true }));

document.addEventListener("click", (event) => {
  const example = event.target.closest("[data-cron]");
  if (!example || event.ctrlKey || event.metaKey || event.shiftKey) return;
  // A template is a link for those without a script; with one, nothing that is typed already is lost.
  event.preventDefault();
  form.elements.cron.value = example.dataset.cron;
  changed();
  form.elements.cron.focus();
});

// Wall time of the zone, as datetime-local wants it.
function inOneHour(zone) {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).formatToParts(Date.now() + 3600_000);
  const part = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}`;
}

if (form.hasAttribute("data-new")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const known = [...document.querySelectorAll("#zones option")].some((option) => option.value === zone);
  if (known) form.elements.timezone.value = zone;
  if (!form.elements.run_at.value) form.elements.run_at.value = inOneHour(known ? zone : "UTC");
  // htmx begins to listen in a timer that it sets before this module runs; a timer set later fires later.
  addEventListener("load", () => setTimeout(changed));
}
