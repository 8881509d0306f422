// The loss tab: errors that were measured once, weighed for whatever schedule, variance and weight are chosen.

import { Chart } from "./chart.js";
import { setCurves } from "./curves.js";
import { derivation } from "./derivation.js";
import { bringIntoSight, button, choice, choose, el, setData, shown, worded } from "./dom.js";
import { download } from "./download.js";
import { drawLedger, VARIANCES } from "./ledger.js";
import { fromLink, putInLink } from "./link.js";
import { Rates } from "./rates.js";
import { oneAtATime } from "./scheduling.js";
import { assign, store, subscribe } from "./store.js";
import { tex } from "./tex.js";
import { columnAt, wordsOf } from "./weighed.js";

/** @import { Published } from "./ledger.js" */
/** @import { Axis, Changes } from "./store.js" */
/** @import { AskedLoss, Chosen, Measured, Shows, Weighed, Weighting } from "./weighed.js" */

/** @type {[Chosen["part"], string][]} */
const PARTS = [
  ["curves", "curves"],
  ["ledger", "bits/dim"],
  ["rate", "rate and distortion"],
];
/** @type {[Shows, string][]} */
const SHOWS = [
  ["error", "error"],
  ["weight", "weight"],
  ["term", "weight × error"],
  ["share", "share up to t"],
];
/** @type {[Axis, string][]} */
const AXES = [
  ["t", "t"],
  ["u", "t/T"],
  ["log_snr", "log SNR"],
];
/** @type {[Chosen["scale"], string][]} */
const SCALES = [
  ["log", "log"],
  ["linear", "linear"],
];
/** @type {[Chosen["unit"], string][]} */
const UNITS = [
  ["bits", "bits/dim"],
  ["nats", "nats an image"],
];

/**
 * @typedef {object} LossProps
 * @property {Measured | null} value
 * @property {PlotlyFigure} figure
 * @property {PlotlyFigure} rates
 * @property {Record<string, Weighting>} weightings
 * @property {Published[]} published
 * @property {string} plotly
 */

/**
 * @typedef {object} LossServer
 * @property {(asked: AskedLoss) => Promise<Weighed>} weigh
 * @property {(asked: AskedLoss) => Promise<{name: string, text: string}>} export_loss
 */

/** @returns {Chosen} */
const chosenFirst = () => ({
  part: fromLink("part"),
  show: fromLink("show"),
  variance: fromLink("sigma"),
  scale: "log",
  unit: "bits",
  losses: new Set(fromLink("losses")),
});

/**
 * Where the weights are from.
 * @param {Record<string, Weighting>} weightings
 */
const sources = (weightings) =>
  el(
    "details",
    { class: "lab-details" },
    el("summary", {}, "The weights, and where they are from"),
    ...Object.values(weightings).map(({ title, formula, source }) => {
      const name = el("b", {}, ...worded(title));
      const note = el("span", { class: "lab-note" }, source);
      return el("p", { class: "lab-weight" }, name, " ", tex(el("span", {}), formula), " ", note);
    }),
  );

class LossView {
  /**
   * @param {HTMLElement} element
   * @param {LossProps} props
   * @param {LossServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    this.chosen = chosenFirst();
    /** @type {Weighed | null} */
    this.weighed = null;
    this.stale = true;
    this.progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "measuring" });
    this.status = el("p", { class: "lab-status", role: "status" });
    this.choices = this.buildChoices();
    this.chips = this.buildChips();
    const bar = el("div", { class: "lab-bar" }, this.choices.show, this.choices.axis, this.choices.scale);
    this.curves = el("div", {}, bar, this.chips);
    this.note = el("p", { class: "lab-note lab-said" });
    this.bill = el("div", { class: "lab-part-view" });
    this.ratesNode = el("div", { class: "lab-part-view" });
    this.steps = derivation();
    this.savers = ["png", "svg"].map((format) => {
      const save = () => (this.chosen.part === "rate" ? this.rates.chart : this.chart).save(format);
      return button(format.toUpperCase(), "save what is drawn", save, `loss-${format}`);
    });
    this.root = this.build();
    element.replaceChildren(this.root);
    this.chart = new Chart(this.curves, props.figure, props.plotly, "loss", { linked: true });
    this.curves.append(this.note);
    this.rates = new Rates(this.ratesNode, props.rates, props.plotly, () => ({
      weighed: this.weighed,
      variance: this.chosen.variance,
    }));
    // In a closed tab nothing is weighed or drawn: others are at work.
    this.open = shown(this.root, () => (this.stale ? this.weigh() : this.drawStep()));
    this.weigh = oneAtATime(() => this.askWeighed());
  }

  build() {
    const { part, variance, unit } = this.choices;
    const about = "errors, weights, terms, shares, rate and distortion at every step";
    return el(
      "section",
      { class: "lab-loss", "data-state": "loading" },
      el("div", { class: "lab-statusline" }, this.status, this.progress),
      el("div", { class: "lab-bar" }, part, variance, unit),
      this.curves,
      this.bill,
      this.ratesNode,
      this.steps.node,
      sources(this.props.weightings),
      el(
        "div",
        { class: "lab-bar" },
        el("span", { class: "lab-choice-label" }, "figure"),
        ...this.savers,
        el("span", { class: "lab-choice-label" }, "numbers"),
        button("CSV", about, () => this.save(), "loss-csv"),
      ),
    );
  }

  buildChoices() {
    const { chosen } = this;
    /**
     * @template {"part" | "show" | "variance" | "scale" | "unit"} N
     * @param {N} name
     * @param {"part" | "show" | "sigma"} [link]
     * @returns {(value: Chosen[N]) => void}
     */
    const set = (name, link) => (value) => {
      chosen[name] = value;
      if (link) putInLink({ [link]: value });
      this.draw();
    };
    return {
      part: choice("show", PARTS, chosen.part, set("part", "part")),
      variance: choice("variance σ²", VARIANCES, chosen.variance, set("variance", "sigma")),
      show: choice("curve", SHOWS, chosen.show, set("show", "show")),
      axis: choice("over", AXES, store.axis, (axis) => assign({ axis })),
      scale: choice("scale", SCALES, chosen.scale, set("scale")),
      unit: choice("unit", UNITS, chosen.unit, set("unit")),
    };
  }

  /** A button for each loss that can be drawn. */
  buildChips() {
    const { losses } = this.chosen;
    const chips = Object.entries(this.props.weightings).map(([name, { title, source }]) => {
      const attributes = { type: "button", class: "lab-chip", "data-loss": name, title: source };
      const chip = el("button", attributes, el("span", {}, ...worded(title)));
      const press = () => chip.setAttribute("aria-pressed", String(losses.has(name)));
      chip.addEventListener("click", () => {
        if (!losses.delete(name)) losses.add(name);
        press();
        putInLink({ losses: [...losses] });
        this.draw();
      });
      press();
      return chip;
    });
    return el("div", { class: "lab-chips", role: "group", "aria-label": "losses that are drawn" }, ...chips);
  }

  /**
   * @param {string} name
   * @param {number} t
   */
  at(name, t) {
    return columnAt(this.weighed, name, t);
  }

  async askWeighed() {
    const value = this.props.value;
    this.stale = true;
    if (!value || !store.schedule || !this.open()) return;
    this.stale = false;
    const { curve, references } = value;
    const { settings } = store.schedule;
    try {
      this.weighed = await this.server.weigh({ curve, references, settings });
    } catch {
      this.status.textContent = "The server did not answer; bend the schedule to try again.";
      return;
    }
    setData(this.root, { points: curve.mean.length });
    this.draw();
    setData(this.root, { state: value.running ? "running" : "ready" });
  }

  async save() {
    if (!this.props.value || !store.schedule) return;
    const { curve, references } = this.props.value;
    try {
      const { settings } = store.schedule;
      const { name, text } = await this.server.export_loss({ curve, references, settings });
      download(text, name);
    } catch {
      this.status.textContent = "The server did not answer; try again.";
    }
  }

  /** What there is to draw; null if nothing, or in a closed tab. */
  drawable() {
    const { weighed, props } = this;
    if (!weighed || !store.schedule || !props.value || !this.open()) return null;
    return { weighed, measured: props.value, schedule: store.schedule };
  }

  /**
   * What the page shares of the loss.
   * @param {Weighed} weighed
   * @param {string} about
   */
  share(weighed, about) {
    const { variance } = this.chosen;
    const at = (/** @type {number} */ t) => ({
      weight: this.at(`weight_${variance}`, t),
      extra: this.at(`extra_${variance}`, t),
      error: this.at("error", t),
    });
    assign({ loss: { ...weighed, variance, about, at } });
  }

  draw() {
    const given = this.drawable();
    if (!given) return;
    const { weighed, measured, schedule } = given;
    const { part, show, variance } = this.chosen;
    this.share(weighed, measured.about);
    this.curves.hidden = part !== "curves";
    this.bill.hidden = part !== "ledger";
    this.ratesNode.hidden = part !== "rate";
    setData(this.root, { variance, show });
    for (const node of this.savers) node.disabled = part === "ledger"; // no figure, but bars and a table
    this.choices.unit.hidden = part !== "curves" || show !== "term";
    if (part === "curves") this.drawCurves(weighed, schedule.T);
    else if (part === "ledger") drawLedger(this.bill, weighed, this.props.published, measured, schedule.T);
    else this.rates.draw();
    this.drawStep();
  }

  /**
   * @param {Weighed} weighed
   * @param {number} T
   */
  drawCurves(weighed, T) {
    const { figure, weightings } = this.props;
    this.chips.hidden = this.chosen.show === "error";
    this.choices.scale.hidden = this.chosen.show === "share";
    this.chart.update(setCurves(figure, weighed, this.chosen, weightings, { axis: store.axis, T }), true);
  }

  /** What follows the step t. */
  drawStep() {
    const given = this.drawable();
    if (!given) return;
    const { weighed, measured } = given;
    this.steps.draw();
    if (this.chosen.part === "curves") {
      const t = Math.max(1, store.t);
      this.note.replaceChildren(...worded(wordsOf(this.chosen, weighed, measured, this.props.weightings, t)));
    }
    if (this.chosen.part === "rate" && this.rates.drawStrip()) setData(this.root, { strip: "ready" });
  }

  /** @param {Changes} changes */
  follow(changes) {
    if (changes.has("schedule")) this.weigh();
    if (changes.has("axis")) {
      choose(this.choices.axis, store.axis);
      this.draw();
    }
    if (changes.has("t") || changes.has("sight")) this.drawStep();
  }

  sync() {
    const value = this.props.value;
    if (!value) {
      this.status.textContent = "Nothing measured yet: press Measure.";
      return;
    }
    // Pressed above, where what comes of it may lie out of sight.
    if (value.running && this.root.dataset.state !== "running") bringIntoSight(this.root);
    // Spoken at the end of a run, not at every level.
    this.status.setAttribute("aria-live", value.running ? "off" : "polite");
    this.status.textContent = value.status;
    this.progress.hidden = !value.running;
    this.progress.value = value.part;
    this.weigh();
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<LossProps, LossServer>} view
 */
export function mount(element, { props, watch, server }) {
  const loss = new LossView(element, props, server);
  subscribe((changes) => loss.follow(changes));
  watch("value", () => loss.sync());
  loss.sync();
}
