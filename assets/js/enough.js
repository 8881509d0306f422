// How many steps are enough: what was measured of the network that is chosen, and where the choice lies on it.

import { Chart } from "./chart.js";
import { el, setData } from "./dom.js";
import { callsOf, placeAt, sentences, ticks, timeSentence } from "./quality.js";
import { assign, store, subscribe } from "./store.js";

/** @import { ChosenRun, Quality, Timed } from "./quality.js" */

/**
 * @typedef {object} EnoughProps
 * @property {Timed | null} value of the network that was timed last; null before anything was chosen or drawn
 * @property {Record<string, Quality | {missing: string, command: string}>} networks
 * @property {Record<string, string>} samplers their titles
 * @property {ChosenRun} usual what is chosen before anybody chooses
 * @property {PlotlyFigure} wide
 * @property {PlotlyFigure} narrow
 * @property {string} plotly
 */

const NARROW = 760; // pixels of a page below which panels lie one under another
const WIDE_TICKS = [1, 2, 3, 4, 6, 8, 12, 20, 35, 50];
const NARROW_TICKS = [1, 2, 4, 8, 16, 50];
const THIN = 1.6;
const THICK = 3;

/**
 * What the controls of the Reverse tab say now.
 * @param {ChosenRun} chosen
 */
export const follow = (chosen) => assign({ chosen });

class Enough {
  /**
   * @param {HTMLElement} element
   * @param {EnoughProps} props
   */
  constructor(element, props) {
    this.props = props;
    this.narrow = window.innerWidth < NARROW;
    this.now = el("p", { class: "lab-enough-now", role: "status" });
    this.note = el("p", { class: "lab-note" });
    const picture = el("div", {});
    this.root = el("section", { class: "lab-enough", "data-state": "empty" }, this.now, picture, this.note);
    element.replaceChildren(this.root);
    this.chart = new Chart(picture, structuredClone(this.narrow ? props.narrow : props.wide), props.plotly, "quality", {
      over: { of: () => this.calls ?? Number.NaN },
    });
    /** @type {number | null} */
    this.calls = null;
    this.near = false;
    this.watchSight();
    subscribe((changes) => changes.has("chosen") && this.draw());
    this.draw();
  }

  /** The picture is drawn when it is nearly in sight: a tab is opened for what is above it. */
  watchSight() {
    const watcher = new IntersectionObserver(
      (entries) => {
        if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
        watcher.disconnect();
        this.near = true;
        this.draw();
      },
      { rootMargin: "200px" },
    );
    watcher.observe(this.root);
  }

  draw() {
    const chosen = store.chosen ?? this.props.usual;
    const found = this.props.networks[chosen.network];
    if (!found || "missing" in found) {
      this.now.replaceChildren(...(found ? [`${found.missing} `, el("code", {}, found.command)] : []));
      this.note.replaceChildren();
      setData(this.root, { state: found ? "missing" : "none" });
      return;
    }
    this.calls = callsOf(found, chosen.sampler, chosen.steps);
    const place = placeAt(found, chosen.sampler, this.calls);
    if (!place) this.calls = null;
    const [first, ...others] = sentences(found, chosen, this.props.samplers);
    const known = this.timeOf(chosen.network);
    if (place && known) others.push(timeSentence(place.calls, known));
    this.now.replaceChildren(el("strong", {}, first), ` ${others.join(" ")}`);
    this.note.replaceChildren(`${found.note} Measured with `, el("code", {}, found.command));
    this.emphasise(chosen.sampler);
    this.time(known);
    const mark = place
      ? { calls_mark: [place.calls], accuracy_mark: [place.accuracy], frechet_mark: [place.frechet] }
      : { calls_mark: [], accuracy_mark: [], frechet_mark: [] };
    if (this.near) this.chart.update({ ...found.columns, ...mark }, true);
    setData(this.root, {
      state: "measured",
      calls: place?.calls ?? "",
      accuracy: place?.accuracy ?? "",
      frechet: place?.frechet ?? "",
    });
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
   * What a call of a network takes here, once that is known.
   * @param {string} network
   */
  timeOf(network) {
    const { value } = this.props;
    return value?.network === network ? value : null;
  }

  /**
   * The second axis, below the calls: what they take here.
   * @param {Timed | null} known
   */
  time(known) {
    const calls = this.narrow ? NARROW_TICKS : WIDE_TICKS;
    const title = known
      ? `calls; below: seconds here, ${known.images === 1 ? "one image" : `${known.images} images`}`
      : "calls; seconds here: after a choice";
    for (const [key, axis] of Object.entries(this.chart.figure.layout))
      if (/^xaxis\d*$/.test(key))
        Object.assign(/** @type {object} */ (axis), {
          tickvals: calls,
          ticktext: ticks(calls, known?.ms_a_call ?? null),
          title: { text: title, standoff: 6, font: { size: 12 } },
        });
    setData(this.root, { timed: known ? known.ms_a_call : "" });
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<EnoughProps>} view
 */
export function mount(element, { props, watch }) {
  const enough = new Enough(element, props);
  watch("value", () => enough.draw());
}
