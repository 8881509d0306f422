// A network that learns the plane: how far it is, by noise level; its field is a layer of the plane.

import { AXES, Chart } from "./chart.js";
import { decodePoints, el, setData, setText } from "./dom.js";
import { LearnedField } from "./learned.js";
import { digits } from "./numbers.js";
import { assign, store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

/**
 * What is shown of a network. field: eps at each level, in cells x cells, rows from the top.
 * @typedef {object} LearnedValue
 * @property {number} updates
 * @property {number[]} log_snr
 * @property {string} field
 * @property {"live" | "done"} [state]
 * @property {string} [key] of the points
 * @property {number} [per_second]
 * @property {Record<string, number[]>} [curves]
 * @property {Record<string, number[]>} [history] of one number each, over the updates
 * @property {{url: string}} [weights] of the network and its card, a zip
 * @property {string} [samples]
 * @property {number} [distance]
 */
/**
 * @typedef {object} Learned
 * @property {string} key of the points that it is of
 * @property {LearnedField} field
 * @property {Float64Array | null} samples
 * @property {boolean} watched whether it learns here
 */
/**
 * @typedef {object} LearningProps
 * @property {LearnedValue | null} value
 * @property {PlotlyFigure} figure
 * @property {PlotlyFigure} wide
 * @property {PlotlyFigure} narrow
 * @property {string[]} taught patterns that there is a network of
 * @property {string} plotly
 */
/** @typedef {{taught_before: (asked: {pattern: string}) => Promise<LearnedValue>}} LearningServer */

const NARROW = 760; // pixels of a page below which panels lie one under another
const FORMULA =
  "d(\\htmlClass{ink-learned}{\\epsilon_\\theta}, \\epsilon) = \\tfrac12\\,\\mathbb E_{\\lambda,\\,\\xt}" +
  "\\lVert \\htmlClass{ink-learned}{\\epsilon_\\theta(\\xt)} - \\epsilon(\\xt)\\rVert^2,\\quad ";
const MEMORY = "d(\\htmlClass{ink-learned}{\\epsilon_\\theta}, \\htmlClass{ink-pred}{\\epsilon^*}) = \\num{memory}";
const PATTERN = ",\\quad d(\\htmlClass{ink-learned}{\\epsilon_\\theta}, \\epsilon_p) = \\num{pattern}";
const ABOUT =
  "Each distance as one number: the mean over noise levels λ = log SNR from 9 to −9, of the noised points. Where memory is the lower line, the network knows the points by heart; where the pattern is, it has found what is behind them. The grey line is how far these two are apart.";
const WEIGHTS =
  "the network and its card; unpacked, python -m diffusion sample --model NAME.safetensors --out points.csv runs it";
const NOTHING = "Nothing has been learnt of these points yet: press Train.";

/**
 * The pattern that points are of, by their key.
 * @param {string} key
 */
export const patternOf = (key) => key.split("-")[0];

class Learning {
  /**
   * @param {HTMLElement} element
   * @param {LearningProps} props
   * @param {LearningServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    this.asking = "";
    this.status = el("p", { class: "lab-status", role: "status" }, NOTHING);
    const picture = el("div", {});
    const past = el("div", {});
    this.formula = el("div", { class: "lab-formula" });
    this.said = ""; // which formula that is
    const about = el("p", { class: "lab-note" }, ABOUT);
    this.history = el("div", { class: "lab-learning-history" }, this.formula, about, past);
    this.weights = el("a", { class: "lab-save lab-learning-weights", hidden: true, title: WEIGHTS }, "Weights");
    const line = el("div", { class: "lab-statusline" }, this.status, this.weights);
    this.root = el("section", { class: "lab-learning", "data-state": "empty" }, line, picture, this.history);
    element.replaceChildren(this.root);
    this.chart = new Chart(picture, props.figure, props.plotly, "learning", { over: AXES.log_snr });
    const figure = window.innerWidth < NARROW ? props.narrow : props.wide;
    this.past = new Chart(past, figure, props.plotly, "history", { over: { title: "updates", of: () => Number.NaN } });
    subscribe((changes) => this.follow(changes));
  }

  /** @param {import("./store.js").Changes} changes */
  follow(changes) {
    const key = store.plane?.key ?? "";
    if (changes.has("plane") && store.learned && store.learned.key !== key) {
      assign({ learned: null });
      this.say(null);
    }
    if (changes.has("wanted") && store.wanted === key && store.learned?.key !== key) this.ask(key);
  }

  /**
   * The network that was taught a pattern beforehand.
   * @param {string} key
   */
  async ask(key) {
    const pattern = patternOf(key);
    if (!this.props.taught.includes(pattern) || this.asking === key) return;
    this.asking = key;
    try {
      const value = await this.server.taught_before({ pattern });
      if (store.plane?.key === key && store.learned?.key !== key) this.show({ ...value, key }, false);
    } finally {
      this.asking = "";
    }
  }

  sync() {
    const { value } = this.props;
    if (value) this.show(value, true);
    else {
      assign({ learned: null });
      this.say(null);
    }
  }

  /**
   * @param {LearnedValue} value
   * @param {boolean} watched
   */
  show(value, watched) {
    const { key = "", log_snr, field, samples } = value;
    if (store.plane && store.plane.key !== key) return; // other points were chosen meanwhile
    assign({
      learned: {
        key,
        field: new LearnedField({ levels: log_snr, field }),
        samples: samples ? decodePoints(samples) : null,
        watched,
      },
    });
    this.say(value);
    const { curves, history } = value;
    if (curves) this.chart.update({ log_snr, ...curves });
    if (history) this.showHistory(history);
  }

  /** @param {Record<string, number[]>} history */
  showHistory(history) {
    const source = FORMULA + MEMORY + (history.pattern ? PATTERN : "");
    if (this.said !== source) tex(this.formula, source);
    this.said = source;
    const last = (/** @type {number[]} */ column) => digits(column[column.length - 1], 2);
    fill(this.formula, {
      memory: last(history.memory),
      ...(history.pattern ? { pattern: last(history.pattern) } : {}),
    });
    this.past.update({ pattern: [], apart: [], ...history });
  }

  /** @param {LearnedValue | null} value */
  say(value) {
    setData(this.root, { state: value?.state ?? (value ? "taught" : "empty"), updates: value?.updates ?? 0 });
    const url = value?.weights?.url;
    this.weights.hidden = !url;
    if (url) Object.assign(this.weights, { href: url, download: `plane-${patternOf(value.key ?? "")}.zip` });
    if (!value) {
      setText(this.status, NOTHING);
      return;
    }
    const { updates, per_second, distance } = value;
    const speed = per_second ? `, ${per_second.toLocaleString("en")} a second` : "; taught beforehand";
    const far = distance === undefined ? "" : `. Kernel distance of its samples from the data ${digits(distance, 2)}`;
    this.status.setAttribute("aria-live", value.state === "live" ? "off" : "polite");
    setText(this.status, `${updates.toLocaleString("en")} updates${speed}${far}.`);
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<LearningProps, LearningServer>} view
 */
export function mount(element, { props, watch, server }) {
  const learning = new Learning(element, props, server);
  watch("value", () => learning.sync());
}
