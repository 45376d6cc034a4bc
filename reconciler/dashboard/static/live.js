// Keeps a page live: a stream has versions only, and the page fetches its content where the version is new, at most twice a
// second. Tabs of one browser share a stream where the browser can. A page that hears nothing for ten seconds turns grey.
(() => {
  const main = document.querySelector("main[data-live]");
  const line = document.getElementById("live");
  if (!main || !line || !window.EventSource) return;
  const STALE = 10_000, PAUSE = 500, REFRESH = 30_000;
  const words = {
    listening: "Live",
    polling: "Notifications do not arrive here, so this page looks for changes every 5 seconds",
    stale: "Nothing heard from the dashboard; this page may be out of date",
  };
  let shown = main.dataset.live, version = shown, heardAt = Date.now(), mode = "listening", fetchedAt = 0, waiting, isFetching = false;

  const say = () => {
    const state = Date.now() - heardAt > STALE ? "stale" : mode;
    document.body.classList.toggle("stale", state === "stale");
    line.hidden = false;
    const status = line.querySelector("[role=status]");
    if (status.textContent !== words[state]) status.textContent = words[state];
    const at = line.querySelector("time");
    const now = new Date(heardAt);
    at.dataset.shown = "yes"; // It has a form of its own.
    at.dateTime = at.title = now.toISOString().slice(0, 19) + "Z";
    at.textContent = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(now);
  };

  const isSelecting = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  };

  // What a person did on the page stays: focus, open details, scrolled tables.
  const replace = (html) => {
    const kept = "a[href], button, summary, [tabindex]";
    const places = [...main.querySelectorAll(kept)];
    const focused = places.indexOf(document.activeElement);
    const name = focused < 0 ? null : document.activeElement.outerHTML;
    const open = [...main.querySelectorAll("details")].map((each) => each.open);
    const scrolled = [...main.querySelectorAll(".numbers")].map((each) => each.scrollLeft);
    main.innerHTML = html;
    main.querySelectorAll("details").forEach((each, place) => { each.open = open[place] ?? each.open; });
    main.querySelectorAll(".numbers").forEach((each, place) => { each.scrollLeft = scrolled[place] ?? 0; });
    document.dispatchEvent(new Event("rollout:replaced"));
    if (focused < 0) return;
    const now = [...main.querySelectorAll(kept)];
    (now.find((each) => each.outerHTML === name) ?? now[focused])?.focus({ preventScroll: true });
  };

  const fetchPage = async () => {
    waiting = undefined;
    if (document.hidden || isFetching) return;
    if (isSelecting()) { later(PAUSE); return; }
    const wanted = version;
    isFetching = true;
    fetchedAt = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Fragment": "main" } });
      if (answer.ok) {
        const html = await answer.text();
        if (isSelecting()) { later(PAUSE); return; }
        replace(html);
        shown = wanted;
      } else if (answer.status < 500) {
        location.reload();
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // The network is away: the line says so.
    } finally {
      isFetching = false;
      if (version !== shown) later(PAUSE);
    }
  };
  const later = (least = 0) => {
    waiting ??= setTimeout(fetchPage, Math.max(least, fetchedAt + PAUSE - Date.now()));
  };

  const hear = (message) => {
    heardAt = Date.now();
    mode = message.mode;
    version = message.version;
    if (version !== shown) later();
    say();
  };

  const channel = window.BroadcastChannel ? new BroadcastChannel("rollout-live") : null;
  if (channel) channel.onmessage = (event) => hear(event.data);
  let held, openedAt, patience;
  const open = () => {
    const stream = held = new EventSource("/live");
    openedAt = Date.now();
    patience = STALE + Math.random() * 5_000;
    stream.onmessage = (event) => {
      const message = JSON.parse(event.data);
      channel?.postMessage(message);
      hear(message);
    };
    // A browser connects again by itself, but not after an answer such as 503.
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) setTimeout(open, 1_000 + Math.random() * 4_000);
    };
  };
  // A connection can die without an error, such as while a computer sleeps: a silent stream is opened again.
  const revive = () => {
    if (!held || held.readyState === EventSource.CLOSED) return;
    if (Date.now() - Math.max(heardAt, openedAt) < patience) return;
    held.close();
    open();
  };
  // The tab that holds the lock has the stream; when it closes, another tab opens one.
  if (channel && navigator.locks) navigator.locks.request("rollout-live", () => new Promise(open));
  else open();

  setInterval(() => { say(); revive(); }, 1_000);
  setInterval(() => later(), REFRESH);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { revive(); later(); } });
})();
