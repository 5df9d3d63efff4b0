// What must be true of any page of ours as it is shown now; gives the list of what is not.
() => {
  const found = [];
  const say = (words, element) => found.push(element ? `${words}: ${element.outerHTML.replace(/\s+/g, " ").slice(0, 160)}` : words);
  // The one question has its words only while it is asked.
  const all = (selector) => [...document.querySelectorAll(selector)].filter((element) => !element.closest("#confirm:not([open])"));
  const words = (text) => (text ?? "").replace(/\s+/g, " ").trim();

  // Names

  const byIds = (ids) => words((ids ?? "").split(/\s+/).map((id) => document.getElementById(id)?.textContent).join(" "));
  const nameOf = (element) =>
    words(element.getAttribute("aria-label")) || byIds(element.getAttribute("aria-labelledby")) ||
    words([...(element.labels ?? [])].map((label) => label.textContent + nameOfParts(label)).join(" "));
  const nameOfParts = (element) => words([...element.querySelectorAll("[aria-label], svg title")].map((part) => part.getAttribute("aria-label") ?? part.textContent).join(" "));

  for (const field of all("input:not([type=hidden]), select, textarea, progress, [role=log]")) if (!nameOf(field)) say("no label", field);
  for (const doer of all("button, a[href], summary, [role=button]")) {
    if (!nameOf(doer) && !words(doer.textContent) && !nameOfParts(doer)) say("no name", doer);
  }
  for (const picture of all("img:not([alt]), svg[role=img]:not([aria-label])")) say("no text beside the picture", picture);
  for (const dialog of all("dialog")) if (!nameOf(dialog)) say("a dialog without a name", dialog);

  // Structure

  const headings = all("h1").filter((heading) => heading.checkVisibility());
  if (headings.length !== 1 || !words(headings[0].textContent)) say(`${headings.length} first headings`);
  if (!/^\S.* · PyScheduler$/.test(document.title)) say(`the title is “${document.title}”`);
  if (!document.documentElement.lang) say("no language");
  if (all("main").length !== 1) say("not one main part");
  for (const element of all("[tabindex]")) if (element.tabIndex > 0) say("out of the natural order", element);
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((one, at) => ids.indexOf(one) !== at))) say(`the id ${id} is there more than once`);
  for (const element of all("[aria-describedby], [aria-labelledby], [aria-controls], label[for]")) {
    for (const name of ["aria-describedby", "aria-labelledby", "aria-controls", "for"]) {
      for (const id of (element.getAttribute(name) ?? "").split(/\s+/)) if (id && !document.getElementById(id)) say(`${name} names ${id}, which is not there`, element);
    }
  }

  // Width

  const { scrollWidth } = document.documentElement;
  if (scrollWidth > innerWidth) {
    say(`${scrollWidth} px wide on a screen of ${innerWidth}`);
    for (const element of all("main *")) if (element.getBoundingClientRect().right > innerWidth + 1 && !scrolls(element.parentElement)) say("sticks out", element);
  }
  function scrolls(element) {
    for (; element; element = element.parentElement) if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(element).overflowX)) return true;
    return false;
  }

  // Contrast (WCAG 2.2, 1.4.3): text over the opaque colours behind it

  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  function rgba(colour) {
    if (!known.has(colour)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      known.set(colour, [r, g, b, a / 255]);
    }
    return known.get(colour);
  }
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const channel = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  function contrast(one, other) {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  }
  // The colour behind an element; null when a picture lies there.
  function behind(element) {
    const layers = [];
    for (; element; element = element.parentElement) {
      const style = getComputedStyle(element);
      if (style.backgroundImage !== "none") return null;
      const colour = rgba(style.backgroundColor);
      if (colour[3]) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  }
  function opacity(element) {
    let share = 1;
    for (; element; element = element.parentElement) share *= Number(getComputedStyle(element).opacity);
    return share;
  }
  const inert = (element) => element.closest(":disabled, [aria-disabled=true], [aria-hidden=true], .visually-hidden, .skip-link") || element.closest("label")?.control?.disabled;
  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && element.getClientRects().length > 0;

  function judge(element, colour, text) {
    const ground = behind(element), ink = [...rgba(colour)];
    if (!ground || !ink[3]) return;
    ink[3] *= opacity(element);
    const share = contrast(over(ink, ground), ground);
    if (share < 4.5) say(`contrast ${share.toFixed(2)} of “${text.slice(0, 40)}” (${colour})`, element);
  }

  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = words(walker.currentNode.data);
    if (!text || seen.has(element) || element.closest("script, style, noscript, option, datalist, title") || inert(element) || !isShown(element)) continue;
    seen.add(element);
    judge(element, getComputedStyle(element).color, text);
  }
  for (const field of all("input:not([type=hidden], [type=checkbox], [type=radio]), textarea, select")) {
    if (inert(field) || !isShown(field)) continue;
    if (field.value) judge(field, getComputedStyle(field).webkitTextFillColor, String(field.value));
    else if (field.placeholder) judge(field, getComputedStyle(field, "::placeholder").color, field.placeholder);
  }
  return found;
}
