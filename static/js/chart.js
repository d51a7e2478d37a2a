// The arrow keys in a bar chart: each bar has its value, and all bars together are one tab stop.

const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

for (const chart of document.querySelectorAll(".chart")) {
  const days = [...chart.querySelectorAll(".chart-day")];
  chart.addEventListener("keydown", (event) => {
    const from = days.indexOf(document.activeElement);
    const step = STEPS[event.key];
    if (from < 0 || !step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = days[Math.min(Math.max(from + step, 0), days.length - 1)];
    days[from].tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  });
}
