// What the pages do beyond links and forms. Everything works without it; nothing here talks to another host.
//   data-focus                    takes the focus when it appears (the error summary)
//   data-announce="text"          said once by the status region when the text changes (milestones, not percentages)
//   data-copy="text"              a button that copies
//   data-dialog-open="id"         a button that opens a <dialog>;   data-dialog-close closes the one it is in
//   data-highlight="key key"      a link that marks the table rows place-<key>
//   data-theme-toggle             the theme button;   data-menu: a <details> that closes on Esc and outside clicks

const announcer = document.getElementById("announcer");
const announced = new Map();
const focused = new WeakSet();

function announce(text) {
  if (announcer && text) announcer.textContent = text;
}

function announceMilestones(root, aloud) {
  for (const element of root.querySelectorAll("[data-announce]")) {
    const key = element.id || "page";
    const text = element.dataset.announce;
    if (aloud && announced.get(key) !== text) announce(text);
    announced.set(key, text);
  }
}

function prepare(root) {
  for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = !navigator.clipboard;
  const summary = root.querySelector("[data-focus]");
  if (summary && !focused.has(summary)) summary.focus();
  if (summary) focused.add(summary);
}

// --- Swaps ---------------------------------------------------------------------------------------------------------

document.addEventListener("htmx:before:swap", (event) => {
  // A form's errors (422) are shown; any other failure leaves the page as it is and says so.
  const status = event.detail?.ctx?.response?.status ?? 200;
  if (status >= 400 && status !== 422) {
    event.preventDefault();
    announce(announcer?.dataset.failed);
  }
});

document.addEventListener("htmx:after:swap", (event) => {
  const target = event.detail?.ctx?.target;
  const polled = event.target instanceof Element && event.target.matches('[hx-trigger^="every"]');
  announceMilestones(document, true);
  prepare(document);
  // What a person asked for moves the focus to the new heading; what polls must not take it away.
  if (!polled && target instanceof Element && !document.querySelector("[data-focus]")) {
    const heading = target.matches("h1, h2") ? target : target.querySelector("h1, h2");
    if (heading && !target.hasAttribute("data-announce")) {
      heading.tabIndex = -1;
      heading.focus();
    }
  }
});

// --- Clicks --------------------------------------------------------------------------------------------------------

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    announce(announcer?.dataset.copied);
    button.classList.add("is-done");
    setTimeout(() => button.classList.remove("is-done"), 1500);
  } catch {
    announce(announcer?.dataset.failed);
  }
}

function highlight(link) {
  for (const row of document.querySelectorAll(".is-highlighted")) row.classList.remove("is-highlighted");
  for (const key of link.dataset.highlight.split(" ")) {
    document.getElementById(`place-${key}`)?.classList.add("is-highlighted");
  }
}

document.addEventListener("click", (event) => {
  const element = event.target instanceof Element ? event.target : null;
  const opener = element?.closest("[data-dialog-open]");
  const copier = element?.closest("[data-copy]");
  const highlighter = element?.closest("[data-highlight]");
  if (opener) document.getElementById(opener.dataset.dialogOpen)?.showModal();
  if (element?.closest("[data-dialog-close]")) element.closest("dialog")?.close();
  if (element instanceof HTMLDialogElement) element.close(); // the backdrop
  if (copier) copy(copier);
  if (highlighter) highlight(highlighter);
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(element)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});

// --- Theme ---------------------------------------------------------------------------------------------------------

const themes = ["auto", "light", "dark"];

function storedTheme() {
  try {
    const theme = localStorage.getItem("theme");
    return themes.includes(theme) ? theme : "auto";
  } catch {
    return "auto";
  }
}

function showTheme(button, theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.textContent = button.dataset[`label${theme[0].toUpperCase()}${theme.slice(1)}`];
}

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.hidden = false;
  showTheme(button, storedTheme());
  button.addEventListener("click", () => {
    const theme = themes[(themes.indexOf(storedTheme()) + 1) % themes.length];
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // The choice then holds for this page alone.
    }
    showTheme(button, theme);
    announce(button.textContent);
  });
}

announceMilestones(document, false);
prepare(document);

// An address that ends in #main (the skip link) or #sign takes the focus away once the page is loaded; a form that was
// refused at such an address gets it back for its error summary.
const refused = document.querySelector("[data-focus]");
if (refused && location.hash) {
  window.addEventListener("load", () => requestAnimationFrame(() => setTimeout(() => refused.focus())));
}
