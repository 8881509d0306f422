// The schedule tab: pictures under the schedule and those pinned beside it, their curves, and their numbers.

import { Chart } from "./chart.js";
import { ComparedPictures, ComparedTable, comparedRows } from "./compared.js";
import { constants } from "./constants.js";
import { button, choice, choose, el, setData, shown } from "./dom.js";
import { download } from "./download.js";
import { Handles } from "./handles.js";
import { fromLink, putInLink } from "./link.js";
import { digits } from "./numbers.js";
import { assign, store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

/** @import { Matched } from "./compared.js" */
/** @import { Schedule } from "./schedules.js" */
/** @import { Axis, Changes } from "./store.js" */

const NARROW = 768; // pixels of a page below which panels lie one under another
const FORMULA =
  "\\beta_t=\\num{beta},\\quad \\ab_t=\\prod_{s=1}^{t}(1-\\beta_s)=\\num{ab},\\quad \\mathrm{SNR}(t)=\\frac{\\ab_t}{1-\\ab_t}=\\num{snr}";

/** @type {[Matched, string][]} */
const MATCHES = [
  ["t", "t/T"],
  ["snr", "SNR"],
];
/** @type {[Axis, string][]} */
const AXES = [
  ["t", "t"],
  ["u", "t/T"],
  ["log_snr", "log SNR"],
];
const HINTS = {
  family:
    "Move over a curve: the dashed line is the step t of the whole page. Log SNR is natural; at 0 signal and noise are equally strong. “drawn” among the families makes these curves your own.",
  drawn:
    "Drag the points in ᾱ or log SNR; double-click a curve's panel for another point, a point to take it out. Arrow keys move a point that has the focus.",
  elsewhere: "Choose t or t/T for the curves to drag the points of this schedule.",
};

/** @typedef {{wide: PlotlyFigure, narrow: PlotlyFigure, plotly: string}} ScheduleProps */
/** @typedef {{curve: string, texts: string[], left: number, top: number, width: number}} PlacedRemark */

/** @param {PlacedRemark} remark */
function remarkNode({ curve, texts, left, top, width }) {
  const style = `left:${left}px; top:${top}px; width:${width}px`;
  const lines = texts.map((text) => el("p", { title: text, tabindex: 0 }, text));
  return el("div", { class: "lab-remark", "data-curve": curve, style }, ...lines);
}

class ScheduleView {
  /**
   * @param {HTMLElement} element
   * @param {ScheduleProps} props
   */
  constructor(element, props) {
    this.props = props;
    this.matched = fromLink("match");
    this.placed = ""; // the remarks, and where they are
    this.formula = tex(el("div", { class: "lab-formula" }), FORMULA);
    this.pin = button("Pin this schedule", "keep its curves and picture to compare with", () => this.pinIt(), "pin");
    const match = choice("pictures at the same", MATCHES, this.matched, (value) => {
      this.matched = value;
      putInLink({ match: value });
      this.drawPictures();
    });
    this.axis = choice("curves over", AXES, store.axis, (axis) => assign({ axis }));
    this.pictures = new ComparedPictures();
    this.root = el(
      "section",
      { class: "lab-schedule" },
      this.formula,
      el("div", { class: "lab-bar" }, this.pin, match, this.axis),
      this.pictures.strip,
    );
    element.replaceChildren(this.root);
    this.remarks = el("div", { class: "lab-remarks" });
    const figure = window.innerWidth < NARROW ? props.narrow : props.wide;
    this.chart = new Chart(this.root, figure, props.plotly, "schedule", {
      linked: true,
      after: () => {
        this.placeRemarks();
        this.handles.refresh();
      },
    });
    this.chart.frame.append(this.remarks);
    this.handles = new Handles(this.chart);
    this.table = new ComparedTable();
    this.hint = el("p", { class: "lab-note" });
    this.root.append(this.hint, el("div", { class: "lab-scroll" }, this.table.table), this.bar());
    subscribe((changes) => this.follow(changes));
    this.open = shown(this.pictures.strip, () => this.drawPictures());
    if (store.schedule) this.begin(store.schedule);
  }

  /** Figures and files to take away. */
  bar() {
    const file = (/** @type {string} */ form) => () => this.save(form);
    return el(
      "div",
      { class: "lab-bar" },
      el("span", { class: "lab-choice-label" }, "figure"),
      button("PNG", "the curves as a picture", () => this.chart.save("png"), "png"),
      button("SVG", "the curves as a drawing", () => this.chart.save("svg"), "svg"),
      el("span", { class: "lab-choice-label" }, "schedule"),
      button("CSV", "every step: β, ᾱ, log SNR, β̃, weight", file("csv"), "csv"),
      button("JSON", "settings, summary, β and ᾱ", file("json"), "json"),
      button("diffusers", "configuration for DDPMScheduler.from_config", file("diffusers"), "diffusers"),
    );
  }

  /** @param {string} form */
  async save(form) {
    if (!store.server || !store.schedule) return;
    try {
      const { name, text } = await store.server.export_schedule({ settings: store.schedule.settings, form });
      download(text, name);
    } catch {
      this.hint.textContent = "The server did not answer; try again.";
    }
  }

  pinIt() {
    const { pins: most } = constants().limits;
    if (!store.schedule || store.pins.length >= most) return;
    const used = new Set(store.pins.map((pin) => pin.colour));
    const colour = Array.from({ length: most }, (_, i) => i).find((i) => !used.has(i)) ?? 0;
    assign({ pins: [...store.pins, { ...store.schedule, colour }] });
  }

  drawPictures() {
    if (!store.picture || !store.schedule || !this.open()) return; // in a closed tab there is nothing to see
    this.pictures.draw(comparedRows(this.matched));
    setData(this.root, { t: store.t });
  }

  /** The table has the rows of the schedules that are compared. */
  buildTable() {
    this.table.build(comparedRows(this.matched));
    this.pin.disabled = store.pins.length >= constants().limits.pins;
    setData(this.root, { pins: store.pins.length });
  }

  /** Each remark under the curve that it is about. */
  placeRemarks() {
    if (!store.schedule) return;
    const { remarks } = store.schedule;
    const now = Object.keys(this.props.wide.layout.meta ?? {}).flatMap((curve) => {
      const panel = this.chart.panel(curve);
      const texts = remarks.filter((remark) => remark.curve === curve).map(({ text }) => text);
      if (!panel || !texts.length) return [];
      const low = panel.x.showticklabels ? 42 : 10; // below the title of the axis, where there is one
      return [{ curve, texts, left: panel.left, top: panel.top + panel.height + low, width: panel.width }];
    });
    const key = JSON.stringify(now);
    if (key === this.placed) return; // they are read out when they change
    this.placed = key;
    this.remarks.replaceChildren(...now.map(remarkNode));
  }

  /** @param {Schedule} schedule */
  showHint({ settings }) {
    if (settings.family !== "drawn") this.hint.textContent = HINTS.family;
    else this.hint.textContent = store.axis === "log_snr" ? HINTS.elsewhere : HINTS.drawn;
  }

  /** @param {Schedule} schedule */
  fillFormula({ columns: { beta, alpha_bar } }) {
    const { t } = store;
    const ab = alpha_bar[t];
    fill(this.formula, { beta: t ? digits(beta[t]) : "–", ab: digits(ab, 4), snr: digits(ab / (1 - ab)) });
  }

  /**
   * The schedule that was there before this tab.
   * @param {Schedule} schedule
   */
  begin(schedule) {
    this.chart.update(schedule.chart);
    this.buildTable();
    this.showHint(schedule);
    this.fillFormula(schedule);
  }

  /** @param {Changes} changes */
  follow(changes) {
    const { schedule } = store;
    if (!schedule) return;
    this.fillFormula(schedule);
    if (changes.has("schedule")) this.chart.update(schedule.chart);
    if (changes.has("pins") || this.table.empty) this.buildTable();
    else if (changes.has("schedule") || changes.has("picture")) this.table.fill(comparedRows(this.matched));
    if (changes.has("axis")) choose(this.axis, store.axis); // the loss tab has the same choice
    if (changes.has("schedule") || changes.has("axis")) this.showHint(schedule);
    this.drawPictures();
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<ScheduleProps>} view
 */
export function mount(element, { props }) {
  new ScheduleView(element, props);
}
