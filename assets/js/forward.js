// The forward process, drawn here: x_t = a x_0 + b eps for any t, from x_0 and one fixed eps that were sent once.

import { constants } from "./constants.js";
import { el, setData, shown } from "./dom.js";
import { histogram } from "./histogram.js";
import { putInLink } from "./link.js";
import { Noising } from "./noising.js";
import { fixed } from "./numbers.js";
import { Player } from "./player.js";
import { assign, setT, store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

/** @import { Changes, ForwardViews, Picture } from "./store.js" */

const STRIP = 9; // pictures in the film strip
const STRIP_PIXELS = 85; // of a picture's longer side there, about
const PIXEL_ART = 64; // pixels up to which a picture is shown with hard edges

const FORMULA = "\\xt = \\sqrt{\\ab_t}\\,\\xo + \\sqrt{1-\\ab_t}\\,\\ep \\;=\\; \\num{a}\\,\\xo + \\num{b}\\,\\ep";
const HINT =
  "Drag t, or press space. Near 0 dB, where the two parts are equally strong, the eye loses the picture; the histogram turns into the bell curve of pure noise. Click a pixel for its posterior.";

/** @returns {ForwardViews} */
function canvases() {
  const canvas = (/** @type {string} */ name, /** @type {string} */ label) =>
    el("canvas", { class: name, role: "img", "aria-label": label, width: 256, height: 256 });
  return {
    xt: canvas("lab-xt", "the noised picture x_t"),
    x0: canvas("lab-x0", "the picture's part, square root of alpha-bar times x_0"),
    eps: canvas("lab-eps", "the noise's part, square root of one minus alpha-bar times epsilon"),
  };
}

/**
 * @param {Element} view
 * @param {string} kind
 * @param {string} source
 * @param {...Node} more of the caption
 */
function figure(view, kind, source, ...more) {
  const caption = tex(el("figcaption", {}), source);
  caption.append(...more);
  return el("figure", { class: `lab-figure lab-figure-${kind}` }, view, caption);
}

/**
 * @param {string} words
 * @param {number} db
 */
const spokenSnr = (words, db) =>
  `${words}, SNR ${Number.isFinite(db) ? `${db < 0 ? "minus " : ""}${Math.abs(db).toFixed(0)} decibel` : "infinite"}`;

class Forward {
  /**
   * @param {HTMLElement} element
   * @param {{value: Picture | null}} props
   */
  constructor(element, props) {
    this.props = props;
    /** @type {Noising | null} */
    this.noising = null;
    this.generation = 0;
    this.formula = tex(el("div", { class: "lab-formula" }), FORMULA);
    this.views = canvases();
    this.seed = el("span", {});
    this.pictured = el("div", { class: "lab-pictured" }, this.views.xt);
    this.histogram = histogram("histogram of the pixels of x_t against N(0, 1)");
    this.thumbs = Array.from({ length: STRIP }, () => this.thumb());
    const transport = el("div", {});
    const strip = el("div", { class: "lab-strip", role: "group", "aria-label": "film strip" });
    strip.append(...this.thumbs.map(({ button }) => button));
    const hint = el("p", { class: "lab-note lab-hint" }, HINT);
    this.root = el(
      "section",
      { class: "lab-forward", "data-state": "loading" },
      this.formula,
      this.row(),
      transport,
      strip,
      hint,
    );
    element.replaceChildren(this.root);
    this.open = shown(this.root, () => this.redraw());
    this.player = new Player(transport, {
      label: "step t",
      moved: setT, // t belongs to the page: the player moves the store, and the store draws
      say: (t) => {
        if (!store.schedule) return { short: "", spoken: "" };
        const { T, columns } = store.schedule;
        return { short: `t = ${t}`, spoken: spokenSnr(`t ${t} of ${T}`, columns.snr_db[t]) };
      },
    });
    assign({ stage: { views: this.views, pictured: this.pictured, player: this.player } });
    subscribe((changes) => this.follow(changes));
  }

  /** x_t, and what it is the sum of. */
  row() {
    const values = tex(el("figcaption", {}), "\\text{values of }\\xt\\text{ against }\\mathcal N(0,1)");
    return el(
      "div",
      { class: "lab-row" },
      figure(this.pictured, "xt", "\\xt"),
      el("span", { class: "lab-sign" }, "="),
      figure(this.views.x0, "x0", "\\sqrt{\\ab_t}\\,\\xo"),
      el("span", { class: "lab-sign" }, "+"),
      figure(this.views.eps, "eps", "\\sqrt{1-\\ab_t}\\,\\ep", this.seed),
      el("figure", { class: "lab-figure lab-histogram" }, this.histogram.svg, values),
    );
  }

  /** A picture of the film strip: a button that goes to its t. */
  thumb() {
    const view = el("canvas", { width: 64, height: 64 });
    const label = el("span", {});
    const button = el("button", { type: "button" }, view, label);
    const thumb = { button, view, label, t: 0 };
    button.addEventListener("click", () => this.player.user(thumb.t));
    return thumb;
  }

  draw() {
    const { noising, root } = this;
    if (!noising || !store.schedule || !this.open()) return; // in a closed tab there is nothing to see
    const { signal, noise } = store.schedule.columns;
    const a = signal[store.t];
    const b = noise[store.t];
    noising.paint(this.views.xt, a, b);
    noising.paint(this.views.x0, a, 0);
    noising.paint(this.views.eps, 0, b);
    this.histogram.draw(noising.density(a, b));
    fill(this.formula, { a: fixed(a, 3), b: fixed(b, 3) });
    setData(root, { t: store.t, state: "ready" });
    const nearest = Math.round((store.t / store.schedule.T) * (STRIP - 1));
    for (const [k, { button }] of this.thumbs.entries()) button.classList.toggle("is-here", k === nearest);
  }

  drawStrip() {
    const { noising } = this;
    if (!noising || !store.schedule || !this.open()) return;
    const { T, columns } = store.schedule;
    const stride = Math.max(1, Math.floor(Math.max(noising.width, noising.height) / STRIP_PIXELS));
    this.thumbs.forEach((thumb, k) => {
      thumb.t = Math.round((k / (STRIP - 1)) * T);
      noising.paint(thumb.view, columns.signal[thumb.t], columns.noise[thumb.t], stride);
      thumb.label.textContent = `${thumb.t}`;
      thumb.button.setAttribute("aria-label", `go to t ${thumb.t}`);
    });
  }

  redraw() {
    this.drawStrip();
    this.draw();
  }

  /** @param {Changes} changes */
  follow(changes) {
    if (!store.schedule || (!changes.has("schedule") && !changes.has("t"))) return;
    if (changes.has("schedule")) {
      this.player.setCount(store.schedule.T + 1);
      this.drawStrip();
    }
    if (this.player.index !== store.t || changes.has("schedule")) this.player.go(store.t);
    this.draw();
  }

  /** Another picture, or other noise. */
  async sync() {
    const value = this.props.value;
    if (!value) return;
    const mine = ++this.generation;
    const answer = await fetch(value.file.url);
    if (!answer.ok) return;
    const buffer = await answer.arrayBuffer();
    if (mine !== this.generation) return; // a newer picture overtook this one
    const noising = new Noising(value.width, value.height, value.channels, buffer, constants().units.eps);
    this.noising = noising;
    assign({ picture: { noising, value } });
    this.root.classList.toggle("is-pixel-art", Math.max(value.width, value.height) <= PIXEL_ART);
    setData(this.root, { picture: value.key });
    this.seed.textContent = `, seed ${value.seed}`;
    putInLink({ picture: value.picture, noise: value.seed }); // a picture of one's own stays with its owner
    if (store.schedule) {
      this.player.setCount(store.schedule.T + 1);
      this.player.go(store.t);
    }
    this.redraw();
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<{value: Picture | null}>} view
 */
export function mount(element, { props, watch }) {
  const forward = new Forward(element, props);
  watch("value", () => forward.sync());
  forward.sync();
}
