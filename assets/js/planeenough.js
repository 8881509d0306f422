// How many steps are enough on the plane: how far samples lie from fresh points, by sampler and calls, measured here.

import { CallsChart } from "./bycalls.js";
import { button, el, setData, setText } from "./dom.js";
import { download } from "./download.js";
import { digits } from "./numbers.js";
import { valueAt } from "./quality.js";
import { assign, store, subscribe } from "./store.js";

/** @import { CallsFigures } from "./bycalls.js" */

/** @typedef {{sampler: string, steps: number | null, denoiser: string}} Planned what the controls of the plane say */
/**
 * What was measured, see ui/plane_enough.py.
 * @typedef {object} MeasuredSteps
 * @property {"live" | "done"} state
 * @property {number} part
 * @property {string} status
 * @property {string} key of the points
 * @property {Record<string, number[]>} columns
 * @property {Record<string, number[]>} calls of each sampler in 1, 2, ... steps
 * @property {[mean: number, spread: number]} floor
 * @property {string} note
 * @property {string} csv
 */
/** @typedef {CallsFigures & {value: MeasuredSteps | null, samplers: Record<string, string>, usual: Planned}} PlaneEnoughProps */

const PANELS = ["exact", "learned"];
const NOTHING =
  "Every sampler in 1 to 50 calls, by the exact denoiser and by the network, held against fresh points: press Measure, it takes some seconds.";
const STALE = "This was measured of other points; press Measure for those above.";

/**
 * What the controls of a run on the plane say now.
 * @param {Planned} planned
 */
export const follow = (planned) => assign({ planned });

class PlaneEnough {
  /**
   * @param {HTMLElement} element
   * @param {PlaneEnoughProps} props
   */
  constructor(element, props) {
    this.props = props;
    this.now = el("p", { class: "lab-enough-now", role: "status" }, NOTHING);
    this.progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "measuring" });
    this.save = button(
      "CSV",
      "all that was measured, a row for each way of drawing",
      () => this.download(),
      "steps-csv",
    );
    this.picture = el("div", { hidden: true });
    this.note = el("p", { class: "lab-note" });
    const line = el("div", { class: "lab-statusline" }, this.now, this.save);
    this.save.hidden = true;
    this.root = el(
      "section",
      { class: "lab-enough lab-plane-enough", "data-state": "empty" },
      line,
      this.progress,
      this.picture,
      this.note,
    );
    element.replaceChildren(this.root);
    this.chart = new CallsChart(this.picture, props, "plane-steps");
    this.chart.axis("calls of the denoiser", null);
    subscribe((changes) => (changes.has("planned") || changes.has("plane")) && this.draw());
  }

  draw() {
    const { value, usual } = this.props;
    if (!value) return;
    const { sampler, steps, denoiser } = store.planned ?? usual;
    const live = value.state === "live";
    const stale = value.key !== store.plane?.key;
    const { columns } = value;
    const calls = value.calls[sampler]?.[(steps ?? 0) - 1] ?? null;
    const at = (/** @type {string} */ panel) =>
      valueAt(columns[`calls_${sampler}`] ?? [], columns[`${panel}_${sampler}`] ?? [], calls, true);
    /** @type {Record<string, number[]>} */
    const mark = { calls_mark: [] };
    const far = at(denoiser);
    for (const panel of PANELS) mark[`${panel}_mark`] = panel === denoiser && far !== null ? [far] : [];
    if (far !== null && calls !== null) mark.calls_mark = [calls];
    this.chart.calls = far === null ? null : calls;
    this.progress.hidden = !live;
    this.progress.value = value.part;
    this.picture.hidden = false;
    this.save.hidden = live;
    this.now.setAttribute("aria-live", live ? "off" : "polite");
    setText(this.now, live ? value.status : [this.sentence(far, calls), stale ? STALE : "", value.status].join(" "));
    setText(this.note, value.note);
    this.chart.emphasise(sampler);
    this.chart.update({ ...columns, ...mark });
    setData(this.root, { state: stale ? "stale" : value.state, far: far ?? "", calls: calls ?? "" });
  }

  /**
   * How far the choice is, beside what chance does.
   * @param {number | null} far
   * @param {number | null} calls
   */
  sentence(far, calls) {
    const { value, samplers, usual } = this.props;
    const { sampler, steps, denoiser } = store.planned ?? usual;
    const title = samplers[sampler] ?? sampler;
    if (!value || far === null) return `${title} in ${steps ?? "–"} steps, ${denoiser}, was not measured.`;
    const [floor, spread] = value.floor;
    return `${title}, ${steps} steps = ${calls} calls, ${denoiser}: ${digits(far)}. By chance: ${digits(floor)} ± ${digits(spread, 2)}.`;
  }

  download() {
    const { value } = this.props;
    if (value) download(value.csv, `plane-steps-${value.key.split("-")[0]}.csv`);
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<PlaneEnoughProps>} view
 */
export function mount(element, { props, watch }) {
  const enough = new PlaneEnough(element, props);
  watch("value", () => enough.draw());
}
