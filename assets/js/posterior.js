// The posterior q(x_{t-1} | x_t, x_0) of one pixel: its coefficients, its two variances, and both Gaussians drawn.

import { el, setAttributes, setData, shown, worded } from "./dom.js";
import { savers } from "./drawing.js";
import { fromLink, putInLink } from "./link.js";
import { digits, fixed } from "./numbers.js";
import { gaussPath, pixelWithin, posteriorAt, rangeOf, ticks, valuesAt } from "./pixel.js";
import { store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

/** @import { Pixel } from "./pixel.js" */
/** @import { Changes } from "./store.js" */

/** @typedef {ReturnType<typeof posteriorAt>} Posterior */
/** @typedef {{x_0: number, x_t: number}} Values */

const W = 380; // the drawing
const H = 150;
const TOP = 14; // above the peak
const CHANNELS = ["red", "green", "blue"];
const FORMULAS = {
  law: "q(\\xs\\mid\\xt,\\xo)=\\mathcal N(\\tilde\\mu_t,\\ \\tilde\\beta_t)=\\mathcal N\\big(\\num{mean},\\ \\num{bt}\\big)",
  mean: "\\begin{aligned}\\tilde\\mu_t&=\\dfrac{\\sqrt{\\alpha_t}\\,(1-\\ab_{t-1})}{1-\\ab_t}\\,\\xt+\\dfrac{\\sqrt{\\ab_{t-1}}\\,\\beta_t}{1-\\ab_t}\\,\\xo\\\\&=\\num{ct}\\cdot(\\numt{xt})+\\num{c0}\\cdot(\\numo{x0})=\\num{mean}\\end{aligned}",
  spread: "\\tilde\\beta_t=\\dfrac{1-\\ab_{t-1}}{1-\\ab_t}\\,\\beta_t=\\num{ratio}\\cdot\\num{beta}=\\num{bt}",
};
const UNKNOWN = { ct: "–", xt: "–", c0: "–", x0: "–", mean: "–", ratio: "–", beta: "–", bt: "–" };
const NOTE =
  "Where xₜ came from, if x₀ is known: what the network has to learn to do without (Ho et al. 2020, eq. 6 and 7). Click a pixel in one of the pictures above.";

const four = (/** @type {number} */ v) => digits(v, 4);

/** What the lines of the drawing are. */
const legend = () =>
  [
    ["posterior", "variance β̃ₜ"],
    ["beta", "variance βₜ"],
    ["value xt", "xₜ"],
    ["value x0", "x₀"],
  ].flatMap(([kind, text], i) => {
    const x = 16 + i * 112 - (i === 3 ? 32 : 0);
    const y = H + 62;
    const path = el("path", { class: kind, d: `M${x} ${y}H${x + 20}` });
    return [path, el("text", { x: x + 26, y: y + 4 }, text)];
  });

/**
 * Where a text is anchored so that it does not leave the drawing.
 * @param {number} at
 * @param {number} room
 */
const anchored = (at, room) => (at < room ? "start" : at > W - room ? "end" : "middle");

/**
 * A value as a line across, or as an arrow to where it lies.
 * @param {{value: number, name: string, kind: string, y: number}} what
 * @param {{low: number, high: number}} range
 */
function valueMark({ value, name, kind, y }, { low, high }) {
  const inside = value >= low && value <= high;
  const at = inside ? ((value - low) / (high - low)) * W : value < low ? 3 : W - 3;
  const text = `${inside ? "" : value < low ? "← " : ""}${name} = ${fixed(value, 3)}${!inside && value > high ? " →" : ""}`;
  const words = el("text", { class: kind, x: at, y, "text-anchor": anchored(at, 50) }, text);
  return inside ? [el("line", { class: `value ${kind}`, x1: at, x2: at, y1: 0, y2: H }), words] : [words];
}

/**
 * Both Gaussians, the values of the pixel, and an axis.
 * @param {Posterior} law
 * @param {Values} values
 */
function drawing(law, { x_t, x_0 }) {
  const { mean, variance, beta } = law;
  const range = rangeOf(law);
  const { low, high } = range;
  const x = (/** @type {number} */ v) => ((v - low) / (high - low)) * W;
  const top = H - TOP;
  const curve = (/** @type {number} */ of, /** @type {number} */ height) =>
    gaussPath({ mean, variance: of }, range, { width: W, base: H, height });
  // A Gaussian is as high as it is narrow; one without width is a line.
  const narrow = variance ? `M0 ${H}L${curve(variance, top)}L${W} ${H}Z` : `M${x(mean)} ${H}V${H - top}`;
  const wide = `M${curve(beta, top * (variance ? Math.sqrt(variance / beta) : 0.6))}`;
  return [
    el("path", { class: "posterior", d: narrow }),
    el("path", { class: "beta", d: wide }),
    ...valueMark({ value: x_t, name: "xₜ", kind: "xt", y: H + 30 }, range),
    ...valueMark({ value: x_0, name: "x₀", kind: "x0", y: H + 43 }, range),
    el("line", { class: "axis", x1: 0, x2: W, y1: H, y2: H }),
    ...legend(),
    ...ticks(low, high).map((v) => {
      const text = fixed(v, 6).replace(/\.?0+$/, "");
      return el("text", { x: x(v), y: H + 15, "text-anchor": anchored(x(v), 16) }, text);
    }),
  ];
}

class PosteriorPanel {
  /**
   * @param {HTMLCanvasElement[]} canvases
   * @param {HTMLElement} marked
   */
  constructor(canvases, marked) {
    /** @type {Pixel | null} */
    this.pixel = null;
    const equation = (/** @type {string} */ source) => tex(el("div", { class: "lab-equation" }), source);
    this.formulas = [FORMULAS.law, FORMULAS.mean, FORMULAS.spread].map(equation);
    this.svg = el("svg", { id: "lab-posterior-drawing", viewBox: `0 -4 ${W} ${H + 74}`, role: "img" });
    this.mark = el("i", { class: "lab-mark", hidden: true });
    marked.append(this.mark);
    const number = (/** @type {string} */ label) =>
      el("input", { type: "text", inputmode: "numeric", autocomplete: "off", "aria-label": label });
    this.across = number("column of the pixel");
    this.down = number("row of the pixel");
    const options = CHANNELS.map((name, i) => el("option", { value: i }, name));
    this.channel = el("select", { "aria-label": "channel" }, ...options);
    this.channelLabel = el("label", {}, "channel ", this.channel);
    this.note = el("p", { class: "lab-note", role: "status" });
    this.root = this.build();
    for (const input of [this.across, this.down, this.channel]) {
      input.addEventListener("change", () => this.choose(this.across.value, this.down.value, this.channel.value));
    }
    for (const canvas of canvases) this.listen(canvas);
    subscribe((changes) => this.follow(changes));
    this.visible = shown(this.root, () => this.draw()); // changes its size when it is opened
    this.root.addEventListener("toggle", () => {
      this.mark.hidden = !this.root.open;
    });
  }

  build() {
    return el(
      "details",
      { class: "lab-details", id: "lab-posterior" },
      el("summary", {}, "The posterior of one pixel"),
      el("p", { class: "lab-note" }, NOTE),
      el(
        "div",
        { class: "lab-bar lab-pixel" },
        el("label", {}, "column ", this.across),
        el("label", {}, "row ", this.down),
        this.channelLabel,
        el("span", { class: "lab-choice-label" }, "drawing"),
        ...savers(this.svg, () => `posterior-t${store.t}`),
        this.note,
      ),
      el(
        "div",
        { class: "lab-row lab-posterior-row" },
        el("figure", { class: "lab-figure" }, this.svg),
        el("div", {}, ...this.formulas),
      ),
    );
  }

  /** @param {HTMLCanvasElement} canvas */
  listen(canvas) {
    canvas.title = "click a pixel for its posterior, below";
    canvas.addEventListener("click", (event) => {
      if (!store.picture) return;
      const box = canvas.getBoundingClientRect();
      const edge = canvas.clientLeft;
      this.root.open = true;
      this.choose(
        ((event.clientX - box.left - edge) / canvas.clientWidth) * canvas.width,
        ((event.clientY - box.top - edge) / canvas.clientHeight) * canvas.height,
        this.channel.value,
      );
    });
  }

  /** @param {(number | string)[]} asked column, row and channel */
  choose(...asked) {
    if (!store.picture) return;
    this.pixel = pixelWithin(store.picture.noising, asked);
    [this.across.value, this.down.value, this.channel.value] = this.pixel.map(String);
    putInLink({ pixel: this.pixel });
    this.draw();
  }

  draw() {
    if (!this.root.open || !this.visible() || !store.schedule || !store.picture) return;
    const { noising } = store.picture;
    const { columns } = store.schedule;
    const { t } = store;
    const { pixel } = this;
    if (!pixel) {
      this.choose(...(fromLink("pixel") ?? [noising.width >> 1, noising.height >> 1, 0]));
      return;
    }
    this.mark.hidden = false;
    this.mark.style.left = `${((pixel[0] + 0.5) / noising.width) * 100}%`;
    this.mark.style.top = `${((pixel[1] + 0.5) / noising.height) * 100}%`;
    setData(this.root, { t });
    if (!t) {
      this.note.textContent = "No step leads to t = 0: choose a later t.";
      for (const node of this.formulas) fill(node, UNKNOWN);
      this.svg.replaceChildren(...legend());
      return;
    }
    const values = valuesAt(noising, columns, pixel, t);
    this.show(posteriorAt(columns, t, values), values);
  }

  /**
   * @param {Posterior} law
   * @param {Values} values
   */
  show(law, values) {
    const { ct, c0, mean, variance, beta } = law;
    const numbers = {
      ct: four(ct),
      xt: fixed(values.x_t, 4),
      c0: four(c0),
      x0: fixed(values.x_0, 4),
      mean: fixed(mean, 4),
      ratio: four(variance / beta),
      beta: four(beta),
      bt: four(variance),
    };
    for (const node of this.formulas) fill(node, numbers);
    const share = `β̃ₜ is ${four((100 * variance) / beta)} % of βₜ`;
    this.note.replaceChildren(...worded(variance ? share : "β̃₁ = 0: at t = 1 the posterior is x₀ itself."));
    const deviation = `standard deviation ${digits(Math.sqrt(variance))}; with variance beta it is ${digits(Math.sqrt(beta))}`;
    setAttributes(this.svg, { "aria-label": `the posterior, mean ${fixed(mean, 3)}, ${deviation}` });
    this.svg.replaceChildren(...drawing(law, values));
  }

  /** @param {Changes} changes */
  follow(changes) {
    if (changes.has("picture") && store.picture) {
      this.channelLabel.hidden = store.picture.noising.channels === 1;
      if (this.pixel) this.choose(...this.pixel);
    }
    if (changes.has("schedule") || changes.has("t") || changes.has("picture")) this.draw();
  }
}

/**
 * The panel. canvases: pictures of the same size, a pixel of which is chosen by a click; `marked` holds the one that
 * shows which.
 * @param {HTMLCanvasElement[]} canvases
 * @param {HTMLElement} marked
 */
export const posterior = (canvases, marked) => new PosteriorPanel(canvases, marked).root;
