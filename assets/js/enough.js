// How many steps are enough: what was measured of the network that is chosen, and where the choice lies on it.

import { CallsChart } from "./bycalls.js";
import { el, setData } from "./dom.js";
import { callsOf, placeAt, sentences, timeSentence } from "./quality.js";
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
    this.now = el("p", { class: "lab-enough-now", role: "status" });
    this.note = el("p", { class: "lab-note" });
    const picture = el("div", {});
    this.root = el("section", { class: "lab-enough", "data-state": "empty" }, this.now, picture, this.note);
    element.replaceChildren(this.root);
    this.chart = new CallsChart(picture, props, "quality");
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
    const place = placeAt(found, chosen.sampler, callsOf(found, chosen.sampler, chosen.steps));
    this.chart.calls = place?.calls ?? null;
    const [first, ...others] = sentences(found, chosen, this.props.samplers);
    const known = this.timeOf(chosen.network);
    if (place && known) others.push(timeSentence(place.calls, known));
    this.now.replaceChildren(el("strong", {}, first), ` ${others.join(" ")}`);
    this.note.replaceChildren(`${found.note} Measured with `, el("code", {}, found.command));
    this.chart.emphasise(chosen.sampler);
    this.time(known);
    const mark = place
      ? { calls_mark: [place.calls], accuracy_mark: [place.accuracy], frechet_mark: [place.frechet] }
      : { calls_mark: [], accuracy_mark: [], frechet_mark: [] };
    if (this.near) this.chart.update({ ...found.columns, ...mark });
    setData(this.root, {
      state: "measured",
      calls: place?.calls ?? "",
      accuracy: place?.accuracy ?? "",
      frechet: place?.frechet ?? "",
    });
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
    const title = known
      ? `calls; below: seconds here, ${known.images === 1 ? "one image" : `${known.images} images`}`
      : "calls; seconds here: after a choice";
    this.chart.axis(title, known?.ms_a_call ?? null);
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
