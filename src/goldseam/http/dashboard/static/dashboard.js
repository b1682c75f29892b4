// Keeps the overview's numbers moving; without it the page shows them as they were.
"use strict";
if (document.querySelector("[data-live]") && "EventSource" in window) {
  const source = new EventSource("/dashboard/live");
  source.onmessage = (message) => {
    for (const tile of JSON.parse(message.data)) {
      const shown = document.getElementById("tile-" + tile.key);
      if (shown) {
        shown.textContent = tile.value;
        shown.classList.toggle("bad", Boolean(tile.bad));
      }
    }
  };
  window.addEventListener("pagehide", () => source.close());
}
