// The picture of how many steps are enough: a line for each sampler over calls of the denoiser, in two panels, and the
// choice marked on its line. Made by quality_figure of ui/figures.py.

import { Chart } from "./chart.js";
import { ticks } from "./quality.js";

/** @import { Curves } from "./schedules.js" */

/** @typedef {{wide: PlotlyFigure, narrow: PlotlyFigure, plotly: string}} CallsFigures */

const NARROW = 760; // pixels of a page below which panels lie one under another
const WIDE_TICKS = [1, 2, 3, 4, 6, 8, 12, 20, 35, 50];
const NARROW_TICKS = [1, 2, 4, 8, 16, 50];
const THIN = 1.6;
const THICK = 3;

export class CallsChart {
  /**
   * @param {HTMLElement} node
   * @param {CallsFigures} figures
   * @param {string} name of its files
   */
  constructor(node, { wide, narrow, plotly }, name) {
    this.narrow = window.innerWidth < NARROW;
    /** @type {number | null} */
    this.calls = null; // of the choice
    const over = { of: () => this.calls ?? Number.NaN };
    this.chart = new Chart(node, structuredClone(this.narrow ? narrow : wide), plotly, name, { over });
  }

  /**
   * The line of the sampler that is chosen is drawn thicker, and the ring in its colour.
   * @param {string} sampler
   */
  emphasise(sampler) {
    const { data } = this.chart.figure;
    const mine = data.find(({ meta }) => meta.x === `calls_${sampler}`);
    for (const trace of data) {
      if (trace.meta.x === "calls_mark")
        trace.marker = { .../** @type {object} */ (trace.marker), color: mine?.line.color };
      else if (trace.meta.x !== "calls_real")
        trace.line = { ...trace.line, width: trace.meta.x === mine?.meta.x ? THICK : THIN };
    }
  }

  /**
   * The axis of calls.
   * @param {string} title
   * @param {number | null} ms that a call takes, said below the calls; null says nothing
   */
  axis(title, ms) {
    const calls = this.narrow ? NARROW_TICKS : WIDE_TICKS;
    for (const [key, axis] of Object.entries(this.chart.figure.layout))
      if (/^xaxis\d*$/.test(key))
        Object.assign(/** @type {object} */ (axis), {
          tickvals: calls,
          ticktext: ticks(calls, ms),
          title: { text: title, standoff: 6, font: { size: 12 } },
        });
  }

  /** @param {Curves} columns */
  update(columns) {
    this.chart.update(columns, true);
  }
}
