// Sets the chosen theme before the first paint. The key is the admin site's own, so one choice holds in both.
(() => {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is off: the device's theme it is.
  }
})();
