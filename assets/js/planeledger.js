// The bound of the plane as a bill, in bits a dimension: by denoiser, above the entropy of the distribution.

import { button, choice, el, setData, setText } from "./dom.js";
import { download } from "./download.js";
import { bits, VARIANCES } from "./ledger.js";
import { fromLink, putInLink } from "./link.js";
import { digits, fixed } from "./numbers.js";
import { oneAtATime } from "./scheduling.js";
import { store, subscribe } from "./store.js";
import { tex } from "./tex.js";

/** @import { Settings } from "./schedules.js" */
/** @import { Bound, ErrorCurve } from "./weighed.js" */

/**
 * What was measured, see ui/plane_ledger.py.
 * @typedef {object} MeasuredBound
 * @property {"live" | "done"} state
 * @property {string} status
 * @property {number} part
 * @property {string} key of the points
 * @property {Record<string, ErrorCurve>} curves by denoiser
 * @property {Record<string, string>} titles
 * @property {[bits: number, error: number] | null} entropy
 * @property {string} note
 */
/** @typedef {{ledger: Record<string, Record<string, Bound>>, csv: string}} WeighedPoints by variance and denoiser */
/** @typedef {{value: MeasuredBound | null}} PlaneLedgerProps */
/**
 * @typedef {object} PlaneLedgerServer
 * @property {(asked: {curves: Record<string, ErrorCurve>, settings: Settings}) => Promise<WeighedPoints>} weigh_points
 */

const FORMULA =
  "-\\log_2 p(\\xo) \\le L_T + \\textstyle\\sum_{t>1} L_{t-1} + L_0,\\qquad " +
  "L_0 = -\\log_2 \\mathcal N\\big(\\xo;\\, \\xpred(x_1),\\, \\sigma_1^2 I\\big)";
const ABOUT =
  "Points are continuous, so the last term is a density, and no sum over 256 grey levels as it is of images: bits can be below 0, and what counts is how far they lie above the entropy.";
const NOTHING =
  "What the errors of the exact denoisers and of the network cost under this schedule: press Measure, it takes some seconds.";
const STALE = "This was measured of other points; press Measure for those above.";
// What counts comes first, and is seen on a phone too.
const HEADS = [
  "\\text{bits/dim}",
  "\\text{above the entropy}",
  "L_T",
  "\\sum L_{t-1}",
  "\\text{of it }\\sum C_t",
  "L_0",
];

class PlaneLedger {
  /**
   * @param {HTMLElement} element
   * @param {PlaneLedgerProps} props
   * @param {PlaneLedgerServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    this.variance = fromLink("plane_sigma");
    /** @type {WeighedPoints | null} */
    this.weighed = null;
    this.status = el("p", { class: "lab-status", role: "status" }, NOTHING);
    this.progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "measuring" });
    const csv = "all parts, a row for each denoiser and variance";
    this.save = button("CSV", csv, () => this.weighed && download(this.weighed.csv, "plane-bound.csv"), "bound-csv");
    this.variances = choice("variance σ²", VARIANCES, this.variance, (variance) => {
      this.variance = variance;
      putInLink({ plane_sigma: variance });
      this.draw();
    });
    this.table = el("div", { class: "lab-scroll" });
    this.note = el("p", { class: "lab-note" });
    this.save.hidden = true;
    this.root = el(
      "section",
      { class: "lab-planeledger", "data-state": "empty" },
      tex(el("div", { class: "lab-formula lab-scroll" }), FORMULA),
      el("p", { class: "lab-note" }, ABOUT),
      el("div", { class: "lab-bar" }, this.variances, this.save),
      el("div", { class: "lab-statusline" }, this.status, this.progress),
      this.table,
      this.note,
    );
    element.replaceChildren(this.root);
    this.weigh = oneAtATime(() => this.ask());
    subscribe((changes) => {
      if (changes.has("schedule")) this.weigh();
      else if (changes.has("plane")) this.draw();
    });
  }

  /** What the page's schedule makes of what was measured. */
  async ask() {
    const { value } = this.props;
    if (!value || !store.schedule) return;
    try {
      this.weighed = await this.server.weigh_points({ curves: value.curves, settings: store.schedule.settings });
      this.draw();
    } catch {
      setText(this.status, "The server did not answer; try again.");
    }
  }

  draw() {
    const { props, weighed } = this;
    const { value } = props;
    if (!value || !weighed) return;
    const live = value.state === "live";
    const stale = value.key !== store.plane?.key;
    this.progress.hidden = !live;
    this.progress.value = value.part;
    this.save.hidden = live;
    this.status.setAttribute("aria-live", live ? "off" : "polite");
    setText(this.status, stale && !live ? STALE : value.status);
    const bounds = weighed.ledger[this.variance];
    this.table.replaceChildren(this.buildTable(bounds, value));
    setText(this.note, [missing(bounds), value.note, "± is at most the standard error."].filter(Boolean).join(" "));
    const totals = Object.fromEntries(Object.entries(bounds).map(([name, { total }]) => [name, total ?? ""]));
    setData(this.root, { state: stale ? "stale" : value.state, entropy: value.entropy?.[0] ?? "", ...totals });
  }

  /**
   * @param {Record<string, Bound>} bounds by denoiser
   * @param {MeasuredBound} value
   */
  buildTable(bounds, { titles, entropy }) {
    const gaps = Object.values(bounds).map(({ total }) => (entropy && total !== null ? total - entropy[0] : 0));
    const most = Math.max(...gaps, 1e-9);
    const rows = Object.entries(bounds).map(([name, bound], k) => {
      const gap = entropy && bound.total !== null ? gaps[k] : null;
      const width = `width: ${(100 * Math.max(0, gap ?? 0)) / most}%`;
      const mark = el("i", { class: `lab-gap lab-gap-${name}`, style: width, "aria-hidden": "true" });
      const cells = [
        titles[name] ?? name,
        el("b", {}, signed(bound.total)),
        el("span", {}, signed(gap), mark),
        bound.L_T < 0.001 ? digits(bound.L_T, 2) : bits(bound.L_T),
        `${bits(bound.L_mid)} ± ${bits(bound.standard_error)}`,
        bits(bound.constant),
        signed(bound.L_0),
      ];
      return el("tr", {}, ...cells.map((cell) => el("td", {}, cell)));
    });
    if (entropy) {
      const least = ["entropy of the distribution", el("b", {}, signed(entropy[0])), `± ${bits(entropy[1])}`];
      rows.push(el("tr", {}, ...[...least, "", "", "", ""].map((cell) => el("td", {}, cell))));
    }
    const heads = ["denoiser", ...HEADS].map((head, k) => (k ? tex(el("th", {}), head) : el("th", {}, head)));
    return el(
      "table",
      { class: "lab-table lab-ledger lab-plane-bound" },
      el("thead", {}, el("tr", {}, ...heads)),
      el("tbody", {}, ...rows),
    );
  }

  sync() {
    this.weigh();
  }
}

const signed = (/** @type {number | null} */ value) => (value === null ? "–" : fixed(value, 3));

/**
 * What is left out of the numbers.
 * @param {Record<string, Bound>} bounds
 */
function missing(bounds) {
  const most = Math.max(...Object.values(bounds).map((bound) => bound.missing));
  return most ? `${most} steps lie outside the noise levels that were measured, and are left out.` : "";
}

/**
 * @param {HTMLElement} element
 * @param {LabView<PlaneLedgerProps, PlaneLedgerServer>} view
 */
export function mount(element, { props, watch, server }) {
  const ledger = new PlaneLedger(element, props, server);
  watch("value", () => ledger.sync());
}
