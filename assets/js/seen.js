// What the network sees at step t: x_t, the noise that is in it, the noise it finds, what it misses, and its x_0.

import { el, setData, shown, worded } from "./dom.js";
import { LEVEL } from "./noising.js";
import { digits } from "./numbers.js";
import { Player } from "./player.js";
import { logSnrOf } from "./schedules.js";
import { oneAtATime } from "./scheduling.js";
import { Sight } from "./sight.js";
import { assign, setT, store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

/** @import { Schedule } from "./schedules.js" */
/** @import { Predictions } from "./sight.js" */

const NOISE_GAIN = 0.4; // noise beyond 2.5 standard deviations is cut off, not beyond one
const VISIBLE = 0.8; // about as much of what is missed, in x_0's units, can be seen

const FORMULA =
  "\\tfrac1D L_{t-1}=w_t\\,\\tfrac1D\\lVert\\ep-\\epred\\rVert^2+c_t=\\num{w}\\cdot\\num{e}+\\num{c}\\ \\text{nats}=\\num{b}\\ \\text{bits/dim}";

/** The images of a network, or one's own with what it sees in it. */
/** @typedef {{network: string, images: {picture: string, name: string}[], own?: Predictions}} Offered */
/** @typedef {{predictions_of: (asked: {network: string, index: number}) => Promise<Predictions>}} SeenServer */
/** @typedef {"xt" | "eps" | "found" | "off" | "guess"} Shown */

/** @type {Record<Shown, [kind: string, source: string, label: string]>} */
const PICTURES = {
  xt: ["xt", "\\xt", "the noised image x_t"],
  eps: ["eps", "\\ep", "the noise that is in it"],
  found: ["eps", "\\epred(\\xt,t)", "the noise that the network finds"],
  off: ["off", "\\epred-\\ep", "what the network misses, amplified"],
  guess: ["pred", "\\xpred", "the clean image that the network predicts"],
};

/** @param {number} signal */
const remark = (signal) =>
  signal > 0.97
    ? "Little noise: hard to find, x_0 easy to guess."
    : signal < 0.1
      ? "Nearly all noise: easy to find, x_0 hard to guess."
      : "";

class Seen {
  /**
   * @param {HTMLElement} element
   * @param {{value: Offered | null}} props
   * @param {SeenServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    this.index = 0; // of the image that is chosen
    /** @type {string | null} */
    this.subject = null; // whose images are shown: a network's name, or "own"
    /** @type {string | null} */
    this.seen = null; // the subject that was answered last
    /** @type {HTMLButtonElement[]} */
    this.buttons = [];
    this.formula = tex(el("div", { class: "lab-formula" }), FORMULA);
    const label = "image that the network is shown";
    this.images = el("div", { class: "lab-faces", role: "group", "aria-label": label });
    this.pictures = this.canvases();
    this.gain = el("span", {});
    this.error = el("p", { class: "lab-note", role: "status", "aria-live": "off" });
    const transport = el("div", {});
    this.root = el(
      "section",
      { class: "lab-seen", "data-state": "waiting" },
      this.formula,
      this.images,
      el("div", { class: "lab-row lab-row-five" }, ...this.figures()),
      transport,
      this.error,
    );
    element.replaceChildren(this.root);
    this.player = new Player(transport, {
      label: "step t",
      moved: setT,
      say: (t) => ({ short: `t = ${t}`, spoken: `t ${t} of ${store.schedule?.T}` }),
    });
    this.ask = oneAtATime(() => this.askNetwork());
    this.open = shown(this.root, () => {
      if (this.seen === null) this.ask();
      this.follow();
    });
    subscribe(() => this.follow());
  }

  /** @returns {Record<Shown, HTMLCanvasElement>} */
  canvases() {
    const canvas = (/** @type {Shown} */ name) => {
      const attributes = { class: `lab-seen-${name} lab-pixels`, role: "img", "aria-label": PICTURES[name][2] };
      return el("canvas", { ...attributes, width: 32, height: 32 });
    };
    const [xt, eps, found, off, guess] = /** @type {const} */ (["xt", "eps", "found", "off", "guess"]).map(canvas);
    return { xt, eps, found, off, guess };
  }

  figures() {
    return Object.entries(PICTURES).map(([name, [kind, source]]) => {
      const caption = el("figcaption", {}, tex(el("span", {}), source));
      if (name === "off") caption.append(this.gain);
      const canvas = this.pictures[/** @type {Shown} */ (name)];
      return el("figure", { class: `lab-figure lab-figure-${kind}` }, canvas, caption);
    });
  }

  draw() {
    if (!store.schedule) return;
    const { snr_db, signal } = store.schedule.columns;
    const { t, sight } = store;
    this.equation(t);
    if (!sight) return;
    // At t = 0 there is no noise to find: as near as the schedule comes.
    const logSnr = logSnrOf(snr_db[Math.max(1, t)]);
    const view = sight.at(logSnr);
    // Amplified by powers of two until it can be seen.
    const more = 2 ** Math.max(0, Math.round(Math.log2(VISIBLE / Math.sqrt(view.error))));
    sight.paint(this.pictures.xt, view.xt);
    sight.paint(this.pictures.eps, sight.eps, NOISE_GAIN);
    sight.paint(this.pictures.found, view.found, NOISE_GAIN);
    sight.paint(this.pictures.off, view.off, NOISE_GAIN * more);
    sight.paint(this.pictures.guess, view.guess);
    this.gain.textContent = more > 1 ? ` × ${more}` : "";
    const words = t
      ? this.wordsOn(view.error, logSnr, signal[t])
      : "At t = 0 there is no noise to find; shown is t = 1.";
    this.error.replaceChildren(...worded(words));
    setData(this.root, { t, state: "ready" });
  }

  /**
   * @param {number} error
   * @param {number} logSnr
   * @param {number} signal
   */
  wordsOn(error, logSnr, signal) {
    const rmse = LEVEL * Math.sqrt(error * Math.exp(-logSnr));
    const unmeasured = this.props.value?.own && store.loss?.about !== "your picture";
    const more = unmeasured ? "Measure draws its curves." : remark(signal);
    return `This image, this noise: ‖ε − ε_θ‖² / D = ${digits(error)}, and the predicted x_0 is off by ${digits(rmse)} of 255 grey levels. ${more}`;
  }

  /**
   * The line at the top, with the errors that were measured last.
   * @param {number} t
   */
  equation(t) {
    const numbers = { w: "–", e: "–", c: "–", b: "–" };
    if (store.loss && t > 1) {
      const { weight, extra, error } = store.loss.at(t);
      const bits = (weight * error + extra) / Math.LN2;
      Object.assign(numbers, { w: digits(weight), e: digits(error), c: digits(extra), b: digits(bits) });
    }
    fill(this.formula, numbers);
  }

  /** @param {Offered} value */
  showImages(value) {
    this.buttons = value.images.map(({ picture, name }, i) => {
      const onclick = () => {
        this.index = i;
        this.ask();
      };
      const attributes = { type: "button", class: "lab-face", title: name, "aria-label": `show the network ${name}` };
      return el("button", { ...attributes, onclick }, el("img", { src: picture, alt: "", class: "lab-pixels" }));
    });
    this.images.replaceChildren(...this.buttons);
    this.images.hidden = !this.buttons.length;
  }

  /** Ask the network what it sees in the image that is chosen. */
  async askNetwork() {
    const value = this.props.value;
    const mine = this.index;
    for (const [i, b] of this.buttons.entries()) b.setAttribute("aria-pressed", String(i === mine));
    if (!value || (!value.own && !this.open())) return; // asked for when the tab is opened
    if (!value.own) {
      setData(this.root, { state: "asking" });
      this.error.textContent = "The network looks at this image under every amount of noise …";
    }
    let payload;
    try {
      payload = value.own ?? (await this.server.predictions_of({ network: value.network, index: mine }));
    } catch {
      this.error.textContent = "The server did not answer; choose an image to try again.";
      return;
    }
    if (value !== this.props.value || mine !== this.index) return;
    this.seen = this.subject;
    assign({ sight: new Sight(payload) });
    setData(this.root, { image: value.own ? "own" : mine });
  }

  sync() {
    const value = this.props.value;
    if (!value) return;
    const next = value.own ? "own" : value.network;
    if (next === this.subject && !value.own) return; // the image that was chosen stays
    this.subject = next;
    this.index = 0;
    this.seen = null;
    this.showImages(value);
    this.ask();
  }

  /** Be where the page is. In a closed tab nothing is drawn: others are at work. */
  follow() {
    const { schedule } = store;
    if (!schedule || !this.open()) return;
    this.catchUp(schedule);
    this.draw();
  }

  /** @param {Schedule} schedule */
  catchUp({ T }) {
    if (this.player.count === T + 1 && this.player.index === store.t) return;
    this.player.setCount(T + 1);
    this.player.go(store.t);
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<{value: Offered | null}, SeenServer>} view
 */
export function mount(element, { props, watch, server }) {
  const seen = new Seen(element, props, server);
  watch("value", () => seen.sync());
  seen.sync();
}
