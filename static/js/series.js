// @ts-check
// Long series that can be looked at closely: uPlot over what the page carries as JSON.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

const HEIGHT = 260;

/** @param {string} name */
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Canvas takes colours, not light-dark(): a probe resolves them. @param {string} name */
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found || token(name);
}

/** @param {number} value @param {string} unit */
const text = (value, unit) => (value === null || value === undefined ? "–" : `${unit}${value.toLocaleString("en")}`);

/** @param {HTMLElement} place @param {{ at: number[], series: { label: string, unit: string, values: number[] }[] }} data */
function draw(place, data) {
  place.replaceChildren();
  const soft = colour("--ink-soft");
  const axis = { stroke: soft, grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const strokes = [colour("--accent"), colour("--series-3"), colour("--series-2")];
  const dashes = [undefined, [6, 3], [2, 3]];
  const plot = new uPlot(
    {
      width: place.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { drag: { x: true, y: false } },
      scales: Object.fromEntries(data.series.map((one) => [one.label, {}])),
      axes: [axis, { ...axis, scale: data.series[0].label, size: 56, values: (_, ticks) => ticks.map((tick) => text(tick, "")) }],
      series: [
        { label: "Hour (UTC)", value: "{YYYY}-{MM}-{DD} {HH}:00" },
        ...data.series.map((one, number) => ({
          label: one.label,
          scale: one.label,
          stroke: strokes[number % strokes.length],
          dash: dashes[number % dashes.length],
          width: 1.5,
          points: { show: false },
          show: number === 0,
          value: (/** @type {unknown} */ _, /** @type {number} */ value) => text(value, one.unit),
        })),
      ],
    },
    [data.at, ...data.series.map((one) => one.values)],
    place,
  );
  return plot;
}

/** @param {HTMLElement} place */
function start(place) {
  const source = document.getElementById(place.dataset.series ?? "");
  const data = JSON.parse(source?.textContent ?? "null");
  if (!data?.at.length) return;
  let plot = draw(place, data);
  let at = data.at.length - 1;
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (plot = draw(place, data)));
  new MutationObserver(() => (plot = draw(place, data))).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  place.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    at = Math.min(Math.max(at + step, 0), data.at.length - 1);
    plot.setCursor({ left: plot.valToPos(data.at[at], "x"), top: 0 });
  });
}

for (const place of document.querySelectorAll("[data-series]")) start(/** @type {HTMLElement} */ (place));
