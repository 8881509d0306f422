// Distortion over rate, and what the network makes of an image by then.

import { Chart } from "./chart.js";
import { el, worded } from "./dom.js";
import { digits } from "./numbers.js";
import { logSnrOf } from "./schedules.js";
import { setT, store } from "./store.js";
import { columnAt, stepAtRate, stepsBySnr } from "./weighed.js";

/** @import { Variance, Weighed } from "./weighed.js" */

const STRIP = 9;
const NOTHING = 0.0005; // bits that are shown as 0

const NOTE =
  "Sent in order, x_T first, an image costs bits at every step, and at any step the receiver can look at the best guess so far. Most of the distortion is gone after few bits: the rest buys what the eye hardly sees (figure 5 of the paper). The pictures are the network's guesses of the image above; choose one to go there.";

export class Rates {
  /**
   * @param {HTMLElement} node
   * @param {PlotlyFigure} figure
   * @param {string} plotly
   * @param {() => {weighed: Weighed | null, variance: Variance}} source
   */
  constructor(node, figure, plotly, source) {
    this.source = source;
    this.chart = new Chart(node, figure, plotly, "rate-distortion", {
      over: { of: (t) => this.bitsAt(Math.max(1, t)), step: (bits) => this.stepAt(bits) },
    });
    const label = "what the network makes of the image by then";
    this.strip = el("div", { class: "lab-strip", role: "group", "aria-label": label });
    this.thumbs = Array.from({ length: STRIP }, () => this.thumb());
    this.strip.append(...this.thumbs.map(({ button }) => button));
    node.append(this.strip, el("p", { class: "lab-note" }, ...worded(NOTE)));
  }

  /** A guess of the strip: a button that goes to its t. */
  thumb() {
    const canvas = el("canvas", { class: "lab-pixels", width: 32, height: 32 });
    const label = el("span", {});
    const button = el("button", { type: "button" }, canvas, label);
    const thumb = { canvas, label, button, t: 0 };
    button.addEventListener("click", () => setT(thumb.t));
    return thumb;
  }

  /** @param {number} t */
  bitsAt(t) {
    const { weighed, variance } = this.source();
    return columnAt(weighed, `rate_${variance}`, t);
  }

  /** @param {number} bits */
  stepAt(bits) {
    const { weighed, variance } = this.source();
    return weighed ? stepAtRate(weighed, variance, bits) : store.t;
  }

  draw() {
    const { weighed, variance } = this.source();
    if (!weighed) return;
    this.chart.update({ rate: weighed.columns[`rate_${variance}`], distortion: weighed.columns.distortion });
  }

  /** The guesses, and which is nearest to t; says whether there was room for them. */
  drawStrip() {
    const { schedule, sight } = store;
    if (!schedule || !sight || !this.strip.clientWidth) return false;
    const steps = stepsBySnr(schedule, STRIP);
    this.thumbs.forEach((thumb, k) => {
      thumb.t = steps[k];
      sight.paint(thumb.canvas, sight.at(logSnrOf(schedule.columns.snr_db[thumb.t])).guess);
      const bits = this.bitsAt(thumb.t);
      thumb.label.textContent = `${bits < NOTHING ? "0" : digits(bits, 2)} bits`;
      thumb.button.setAttribute("aria-label", `t ${thumb.t}, after ${digits(bits, 2)} bits per dimension`);
    });
    const away = (/** @type {{t: number}} */ { t }) => Math.abs(t - store.t);
    const here = this.thumbs.reduce((best, thumb) => (away(thumb) < away(best) ? thumb : best));
    for (const thumb of this.thumbs) thumb.button.classList.toggle("is-here", thumb === here);
    return true;
  }
}
