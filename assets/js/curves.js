// The figure of the loss tab: which of its traces show which column, for what is chosen. Data only; chart.js draws it.

/** @import { Curves } from "./schedules.js" */
/** @import { Axis } from "./store.js" */
/** @import { Chosen, Weighed, Weighting } from "./weighed.js" */

const LINES_ABOVE = 40; // steps; with fewer, a line needs its points
const LOW = 10; // times below a value the band may reach, which a log scale would draw without end

/** @type {Record<"error" | "weight" | "share", string>} */
const TITLES = {
  error: "E‖ε − ε<sub>θ</sub>‖² / D",
  weight: "weight of ‖ε − ε<sub>θ</sub>‖²",
  share: "share of the sum up to t",
};

/** Whether the curves are on a log scale: shares never are. */
export const isLog = (/** @type {Chosen} */ { scale, show }) => scale === "log" && show !== "share";

/** Whether a unit is chosen for what is shown, which only the bound's terms have; and what bits/dim are times in it. */
const factorOf = (/** @type {Chosen} */ { show, unit }, /** @type {number} */ dimensions) =>
  show === "term" && unit === "nats" ? dimensions * Math.LN2 : 1;

/**
 * @param {(number | null)[]} values
 * @param {number} factor
 */
const times = (values, factor) => values.map((v) => (v == null ? null : v * factor));

/**
 * The term of the chosen variance with its standard error, below and above.
 * @param {Curves} columns
 * @param {string} variance
 * @param {number} factor
 * @returns {Curves}
 */
function bandOf(columns, variance, factor) {
  const term = columns[`term_${variance}`];
  const spread = columns[`spread_${variance}`];
  const edge = (/** @type {number} */ sign) =>
    term.map((v, i) => {
      const s = spread[i];
      return v == null || s == null ? null : Math.max(v + sign * s, v / LOW) * factor;
    });
  return { error_low: edge(-1), error_high: edge(1) };
}

/**
 * Set one trace to what is chosen; says which column it shows, or "" for none.
 * @param {PlotlyTrace} trace
 * @param {Chosen} chosen
 * @param {Curves} drawn
 * @param {string} least the column of the exact denoiser's term
 */
function columnOf({ meta }, { show, losses }, drawn, least) {
  if (meta.loss) return show !== "error" && losses.has(meta.loss) ? `drawn_${meta.loss}` : "";
  const own = meta.own ?? "";
  if (show === "error") return own in drawn ? own : "";
  return own === "known" && least in drawn ? least : "";
}

/**
 * Set the figure's traces and axes to what is chosen; gives the columns that they show.
 * @param {PlotlyFigure} figure
 * @param {Weighed} weighed
 * @param {Chosen} chosen
 * @param {Record<string, Weighting>} weightings
 * @param {{axis: Axis, T: number}} page
 * @returns {Curves}
 */
export function setCurves(figure, weighed, chosen, weightings, { axis, T }) {
  const { columns, measured, dimensions } = weighed;
  const factor = factorOf(chosen, dimensions);
  const bounded = chosen.show === "term" && chosen.losses.has(chosen.variance);
  const places = measured[axis];
  /** @type {Curves} */
  const drawn = {
    ...columns,
    measured_x: places,
    measured: measured.error.map((v, i) => (places[i] == null ? null : v)), // beyond T
    measured_spread: measured.spread,
  };
  // What the exact denoiser pays, beside the loss with the variance that is chosen.
  const least = bounded ? `known_${chosen.variance}` : "none";
  if (least in columns) drawn[least] = times(columns[least], factor);
  for (const trace of figure.data) {
    trace.meta.own ??= trace.meta.y;
    trace.meta.y = columnOf(trace, chosen, drawn, least);
    trace.visible = trace.meta.y !== "";
    if (trace.mode !== "markers" && trace.line.width) trace.mode = T > LINES_ABOVE ? "lines" : "lines+markers";
    const name = trace.meta.loss;
    if (!name || !trace.visible) continue;
    trace.name = weightings[name].title.replace(/_(\w+)/, "<sub>$1</sub>");
    drawn[`drawn_${name}`] = times(columns[`${chosen.show}_${name}`], weightings[name].variance ? factor : 1);
  }
  // The band is that of the error, or of the term with the variance that is chosen.
  if (bounded) {
    Object.assign(drawn, bandOf(columns, chosen.variance, factor));
    for (const [i, y] of ["error_low", "error_high"].entries()) {
      Object.assign(figure.data[i], { visible: true, meta: { ...figure.data[i].meta, y } });
    }
  }
  setLayout(figure.layout, chosen, axis);
  return drawn;
}

/**
 * @param {PlotlyLayout} layout
 * @param {Chosen} chosen
 * @param {Axis} axis
 */
function setLayout(layout, chosen, axis) {
  const { show, unit } = chosen;
  const log = isLog(chosen);
  const yaxis = /** @type {PlotlyAxis} */ (layout.yaxis);
  if (layout.meta) layout.meta.loss.range = show === "share" ? "unit" : log ? "decades" : "zero";
  yaxis.type = log ? "log" : "linear";
  yaxis.dtick = log ? 1 : undefined;
  const name = unit === "nats" ? "nats an image" : "bits/dim";
  yaxis.title.text = show === "term" ? `L<sub>t−1</sub>, ${name}` : TITLES[show];
  layout.uirevision = [show, log, axis, unit].join();
}
