// Shows each time in the viewer's zone; the server writes UTC, which stays on hover.
(() => {
  const forms = {
    clock: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    day: { month: "short", day: "numeric" },
    "day-and-clock": { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    "clock-with-offset": { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "shortOffset" },
    full: {
      month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
    },
  };
  // Over a change of the clocks an hour can come twice; its label then has the offset.
  const showTicks = (chart) => {
    const ticks = [...chart.querySelectorAll('text[data-form="clock"]')];
    const offsets = new Set(ticks.map((each) => new Date(each.dataset.time).getTimezoneOffset()));
    ticks.forEach((each) => show(each, each.dataset.time, offsets.size > 1 ? "clock-with-offset" : "clock"));
  };
  const show = (element, written, form) => {
    const moment = new Date(written);
    if (!element.dataset.shown && !Number.isNaN(moment.getTime())) {
      element.dataset.shown = "yes";
      const isOfThisYear = moment.getFullYear() === new Date().getFullYear();
      const options = form === "full" && !isOfThisYear ? { ...forms.full, year: "numeric" } : forms[form];
      if (element instanceof HTMLTimeElement) element.dateTime = element.title = written;
      element.textContent = new Intl.DateTimeFormat(undefined, options).format(moment);
    }
  };
  const showAll = (root) => {
    root.querySelectorAll("time:not([data-shown])").forEach((each) => show(each, each.textContent, "full"));
    root.querySelectorAll("svg.chart").forEach(showTicks);
    root.querySelectorAll("text[data-time]").forEach((each) => show(each, each.dataset.time, each.dataset.form));
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    root.querySelectorAll("text.zone").forEach((each) => { each.textContent = zone; });
  };
  showAll(document);
  document.addEventListener("rollout:replaced", () => showAll(document));
})();
