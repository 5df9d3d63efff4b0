// Before the first paint: the theme that was chosen on this browser. "system" leaves it to the browser.
try {
  const choice = localStorage.getItem("ps-theme");
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
} catch { /* no storage: as the system */ }
