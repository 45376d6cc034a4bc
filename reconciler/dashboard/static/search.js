// Finds repositories while a person types. A newer question ends the older one, so that no old answer replaces a new one.
(() => {
  const box = document.getElementById("q");
  const found = document.getElementById("found");
  if (!box || !found) return;
  let waiting, asked;
  const ask = async () => {
    asked?.abort();
    asked = new AbortController();
    const at = document.getElementById("at").value;
    const question = new URLSearchParams({ q: box.value, at });
    try {
      const answer = await fetch(`/repositories/found?${question}`, { signal: asked.signal });
      if (answer.ok) found.innerHTML = await answer.text();
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 150);
  });
})();
