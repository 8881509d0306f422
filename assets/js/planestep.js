// One step back from the point that is looked at: where the truth says it came from, beside the Gaussian of DDPM.

import { pathThrough } from "./axes.js";
import { contextOf, prepare } from "./canvas.js";
import { el, setAttributes, setData, setText } from "./dom.js";
import { fromLink, putInLink } from "./link.js";
import { placeOn } from "./mixture.js";
import { digits } from "./numbers.js";
import { rgb } from "./planepaint.js";
import { oncePerFrame } from "./scheduling.js";
import { densityOf, klToGaussians, stepBack, stepTo } from "./stepback.js";
import { store, subscribe } from "./store.js";
import { tex } from "./tex.js";

/** @import { Place } from "./mixture.js" */
/** @import { Changes } from "./store.js" */
/** @import { StepBack } from "./stepback.js" */

const FORMULA =
  "q(\\htmlClass{ink-xt}{x_s}\\mid\\xt) = \\textstyle\\sum_i w_i\\,\\mathcal N\\big(c_i,\\,\\tilde\\beta I\\big)" +
  "\\quad\\text{against}\\quad p(\\htmlClass{ink-xt}{x_s}\\mid\\xt) = \\mathcal N\\big(\\mu,\\,\\sigma^2 I\\big)";
const ABOUT =
  "Green is where the point really came from, if the data are these points; the rings are one and two deviations of the Gaussian that DDPM draws from instead. With many steps the two are one, which is why it works at all (Feller 1949; Sohl-Dickstein et al. 2015); with few they are not, and no network could help it.";
const NOBODY = "Press somewhere on the plane to follow a point.";
const CELLS = 44; // across the square that is looked at
const ZOOM = 260; // pixels of it on the page
const REACHED = 3.6; // deviations from its middle to its sides
const ALONG = 36; // places of a curve
const BUSY = 7; // ms of a frame that curves may take
const REST = 80; // ms of quiet before anything is found that takes longer than a frame
const POSITIONS = 1000; // of the slider
const [W, H, LEFT, RIGHT, BOTTOM, TOP] = [320, 230, 46, 18, 36, 22]; // of a chart
const [LEAST, MOST] = [-6, 1]; // decades of nats

/** @typedef {{xs: number[], exact: (number | null)[], wide: (number | null)[]}} Curve the KL with beta-tilde, and with beta */

/** A chart of the KL, on a log scale, over t or over how many steps there are. */
class KlChart {
  /**
   * @param {string} title
   * @param {string} over
   * @param {boolean} log
   */
  constructor(title, over, log) {
    this.log = log;
    this.most = 1; // of x
    this.exact = el("path", { class: "exact" });
    this.wide = el("path", { class: "wide" });
    this.dot = el("circle", { r: 4.5, visibility: "hidden" });
    this.ticks = el("g", {});
    const middle = (LEFT + W) / 2;
    this.root = el(
      "svg",
      { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title },
      el("text", { x: LEFT, y: 12, class: "title" }, title),
      this.ticks,
      el("path", { class: "axis", d: `M${LEFT} ${TOP}V${H - BOTTOM}H${W}` }),
      el("text", { x: middle, y: H - 4, "text-anchor": "middle" }, over),
      this.wide,
      this.exact,
      this.dot,
    );
  }

  /** @param {number} x */
  x(x) {
    const part = this.log ? Math.log(x) / Math.log(this.most) : x / this.most;
    return LEFT + part * (W - LEFT - RIGHT);
  }

  /** @param {number} kl */
  y(kl) {
    const part = (Math.log10(Math.max(kl, 10 ** LEAST)) - LEAST) / (MOST - LEAST);
    return H - BOTTOM - Math.min(1, part) * (H - BOTTOM - TOP);
  }

  /** @param {number} T */
  scale(T) {
    this.most = Math.max(2, T);
    const decades = [0, 1, 2, 3].map((e) => 10 ** e).filter((v) => v <= T);
    const marks = this.log ? decades : [0, T / 2, T];
    const nats = Array.from({ length: MOST - LEAST + 1 }, (_, k) => 10 ** (LEAST + k));
    this.ticks.replaceChildren(
      ...marks.map((v) => el("text", { x: this.x(v), y: H - BOTTOM + 14, "text-anchor": "middle" }, digits(v))),
      ...nats.flatMap((v, k) =>
        [
          el("line", { x1: LEFT, x2: W, y1: this.y(v), y2: this.y(v) }),
          k % 2 ? null : el("text", { x: LEFT - 6, y: this.y(v) + 4, "text-anchor": "end" }, exponent(LEAST + k)),
        ].filter((node) => node !== null),
      ),
    );
  }

  /** @param {Curve} curve */
  draw({ xs, exact, wide }) {
    const path = (/** @type {(number | null)[]} */ ys) =>
      pathThrough(
        xs,
        ys,
        (x) => this.x(x),
        (y) => this.y(y),
      );
    this.exact.setAttribute("d", path(exact));
    this.wide.setAttribute("d", path(wide));
  }

  /**
   * @param {number} x
   * @param {number} kl
   */
  mark(x, kl) {
    this.dot.setAttribute("visibility", Number.isFinite(kl) ? "visible" : "hidden");
    if (Number.isFinite(kl)) setAttributes(this.dot, { cx: this.x(x), cy: this.y(kl) });
  }
}

/** @param {number} e of ten */
const exponent = (e) =>
  e === 0 ? "1" : e === 1 ? "10" : `10${[...String(e)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[+c] ?? "⁻").join("")}`;

class PlaneStep {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.count = fromLink("back");
    this.visible = false;
    /** @type {StepBack | null} */
    this.step = null;
    /** @type {Record<"t" | "count", (() => void)[]>} what is still to be found of the curves */
    this.tasks = { t: [], count: [] };
    this.working = false;
    this.timer = 0;
    this.draw = oncePerFrame(() => setTimeout(() => this.paint())); // after the plane itself
    this.zoom = el("canvas", {
      class: "lab-plane-zoom",
      role: "img",
      "aria-label": "the true distribution of x_s, and the Gaussian of DDPM as rings",
    });
    this.grain = el("canvas", {});
    this.said = el("p", { class: "lab-plane-kl", role: "status" });
    this.range = el("input", { type: "range", min: 0, max: POSITIONS, "aria-label": "steps in all" });
    this.range.addEventListener("input", () => this.recount());
    this.readout = el("output", { class: "lab-plane-count" });
    this.overT = new KlChart("KL in nats, over t", "t", false);
    this.overCount = new KlChart("KL in nats, over the number of steps", "steps in all", true);
    this.root = this.build();
    element.replaceChildren(this.root);
    new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      if (this.visible) this.renew(["schedule", "followed"]);
    }).observe(this.root);
    subscribe((changes) => this.follow(changes));
  }

  build() {
    const keys = el(
      "p",
      { class: "lab-note lab-plane-keys" },
      el("i", { class: "exact" }),
      "σ² = β̃",
      el("i", { class: "wide" }),
      "σ² = β",
    );
    return el(
      "section",
      { class: "lab-planestep", "data-state": "empty" },
      el("h2", {}, "One step back, exactly"),
      tex(el("div", { class: "lab-formula" }), FORMULA),
      el(
        "div",
        { class: "lab-bar" },
        el("label", { class: "lab-plane-many" }, el("span", {}, "steps in all"), this.range, this.readout),
        this.said,
      ),
      el(
        "div",
        { class: "lab-plane-steps" },
        el("figure", { class: "lab-figure" }, this.zoom, el("figcaption", {}, keys)),
        this.overT.root,
        this.overCount.root,
      ),
      el("p", { class: "lab-note" }, ABOUT),
    );
  }

  /** @param {Changes} changes */
  follow(changes) {
    if (this.visible) this.renew([...changes]);
  }

  /** @param {string[]} changes */
  renew(changes) {
    const has = (/** @type {string[]} */ ...names) => names.some((name) => changes.includes(name));
    if (!store.schedule || !has("schedule", "t", "plane", "hovered", "followed", "back")) return;
    if (has("schedule")) {
      this.overT.scale(store.schedule.T);
      this.overCount.scale(store.schedule.T);
    }
    if (has("schedule", "plane", "followed", "back", "t")) this.plan(has("schedule", "plane", "followed", "back"));
    this.draw();
  }

  recount() {
    const T = store.schedule?.T ?? 1;
    this.count = Math.round(T ** (+this.range.value / POSITIONS));
    putInLink({ back: this.count });
    this.renew(["back"]);
  }

  /** The point that is looked at, at the page's t; where no step is left to take, the followed one before its last. */
  place() {
    const { hovered, schedule, followed, t } = store;
    if (!schedule) return null;
    if (t > 0) return hovered && { t, x: hovered.x, y: hovered.y };
    return followed.length ? placeOn(followed, schedule.columns, this.before(schedule.T)) : null;
  }

  /** @param {number} T */
  before(T) {
    return Math.min(T, Math.max(2, Math.round((2 * T) / Math.min(this.count, T))));
  }

  paint() {
    const { schedule, plane } = store;
    if (!schedule || !plane) return;
    const { T, columns } = schedule;
    const count = Math.min(this.count, T);
    const part = T > 1 ? Math.log(count) / Math.log(T) : 1;
    this.range.value = String(Math.round(part * POSITIONS));
    this.range.style.setProperty("--part", String(part));
    this.range.setAttribute("aria-valuetext", `${count} steps`);
    setText(this.readout, String(count));
    const place = this.place();
    this.step = place && plane.mixed.length ? stepBack(plane.mixed, columns, place, stepTo(place.t, T, count)) : null;
    setData(this.root, { state: this.step ? "ready" : "empty" });
    if (!this.step) this.sayNobody();
    else setText(this.said, `${this.when(this.step)} …`);
    this.later();
    this.paintZoom();
  }

  sayNobody() {
    setText(this.said, NOBODY);
    for (const chart of [this.overT, this.overCount]) chart.mark(1, Number.NaN);
  }

  /** @param {StepBack} step */
  when({ t, s }) {
    return `${store.t ? "" : "t = 0 is the end; before, "}t = ${t} → ${s}:`;
  }

  /** What takes long is found when the hand rests. */
  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.step) this.say(this.step, Math.min(this.count, store.schedule?.T ?? 1));
      if (!this.working) this.work();
    }, REST);
  }

  /**
   * @param {StepBack} step
   * @param {number} count
   */
  say(step, count) {
    const [exact, wide] = klToGaussians(step, [step.variance, step.beta]);
    const ends = "the last step ends on points, of which no Gaussian says how likely they are.";
    const text = `KL ${digits(exact, 2)} nats with σ² = β̃, ${digits(wide, 2)} with σ² = β.`;
    setText(this.said, `${this.when(step)} ${step.s ? text : ends}`);
    this.overT.mark(step.t, exact);
    this.overCount.mark(count, exact);
  }

  /** The truth as a tint, the Gaussian as rings. */
  paintZoom() {
    const size = Math.round(ZOOM * Math.min(2, window.devicePixelRatio));
    if (this.zoom.width !== size) {
      this.zoom.width = size;
      this.zoom.height = size;
    }
    const context = contextOf(this.zoom);
    const style = getComputedStyle(this.root);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    context.fillStyle = colour("--lab-panel");
    context.fillRect(0, 0, size, size);
    if (!this.step) return;
    const { spread, beta, variance } = this.step;
    const half = REACHED * Math.sqrt(Math.max(spread, beta));
    this.tint(densityOf(this.step, half, CELLS), colour("--pred"), colour("--lab-panel"));
    context.imageSmoothingEnabled = true;
    context.drawImage(this.grain, 0, 0, size, size);
    context.strokeStyle = colour("--by-ddpm");
    for (const [v, dash] of /** @type {[number, number[]][]} */ ([
      [variance, []],
      [beta, [5, 4]],
    ])) {
      context.setLineDash(dash.map((d) => (d * size) / ZOOM));
      for (const deviations of v ? [1, 2] : []) {
        context.lineWidth = ((deviations === 1 ? 2 : 1.2) * size) / ZOOM;
        context.beginPath();
        context.arc(size / 2, size / 2, ((deviations * Math.sqrt(v)) / half) * (size / 2), 0, 2 * Math.PI);
        context.stroke();
      }
    }
    context.setLineDash([]);
    this.paintRule(context, half, colour("--lab-ink"));
  }

  /**
   * A density as pixels, between two colours.
   * @param {Float64Array} values
   * @param {string} full
   * @param {string} none
   */
  tint(values, full, none) {
    const { context, image } = prepare(this.grain, CELLS, CELLS);
    const most = values.reduce((a, b) => Math.max(a, b), 0);
    const [high, low] = [rgb(full), rgb(none)];
    values.forEach((p, i) => {
      const part = 0.85 * (p / most) ** 0.7;
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = low[c] + part * (high[c] - low[c]);
    });
    context.putImageData(image, 0, 0);
  }

  /**
   * How large it all is.
   * @param {CanvasRenderingContext2D} context
   * @param {number} half
   * @param {string} ink
   */
  paintRule(context, half, ink) {
    const unit = this.zoom.width / ZOOM;
    const decade = 10 ** Math.floor(Math.log10(half / 2));
    const length = [5, 2, 1].map((k) => k * decade).find((v) => v <= half / 2) ?? decade;
    const pixels = (length / half) * (this.zoom.width / 2);
    context.fillStyle = ink;
    context.fillRect(10 * unit, this.zoom.height - 12 * unit, pixels, 2 * unit);
    context.font = `${11 * unit}px ${getComputedStyle(this.root).fontFamily}`;
    context.fillText(digits(length, 1), 10 * unit, this.zoom.height - 18 * unit);
  }

  /**
   * What is to be found of the curves: along the followed point's way, and at the page's t.
   * @param {boolean} both not only the one that t changes
   */
  plan(both) {
    const { schedule, plane, followed, t } = store;
    if (!schedule || !plane?.mixed.length || !followed.length) {
      this.tasks = { t: [], count: [] };
      return;
    }
    const { T, columns } = schedule;
    const find = (/** @type {Place} */ place, /** @type {number} */ count) => {
      const s = stepTo(place.t, T, count);
      if (s < 1) return [null, null];
      const step = stepBack(plane.mixed, columns, place, s);
      return klToGaussians(step, [step.variance, step.beta]);
    };
    if (both) {
      const ts = Array.from({ length: ALONG }, (_, i) => Math.max(2, Math.round((T * (i + 1)) / ALONG)));
      const along = (/** @type {number} */ x) => find(placeOn(followed, columns, x), Math.min(this.count, T));
      this.tasks.t = tasksOf(this.overT, ts, along);
    }
    const place = placeOn(followed, columns, t || this.before(T));
    const counts = Array.from({ length: ALONG }, (_, i) => Math.round(T ** ((i + 1) / ALONG)));
    this.tasks.count = tasksOf(this.overCount, [...new Set(counts)], (x) => find(place, x));
    this.later();
  }

  /** Curves take a little of every frame: what follows the hand comes first. */
  work() {
    const started = performance.now();
    const next = () => this.tasks.count.shift() ?? this.tasks.t.shift();
    this.working = true;
    for (let task = next(); task; task = next()) {
      task();
      if (performance.now() - started > BUSY) {
        requestAnimationFrame(() => this.work());
        return;
      }
    }
    this.working = false;
  }
}

/**
 * What finds a curve, a place after another, and draws it.
 * @param {KlChart} chart
 * @param {number[]} xs
 * @param {(x: number) => (number | null)[]} find
 */
function tasksOf(chart, xs, find) {
  /** @type {Curve} */
  const curve = { xs, exact: [], wide: [] };
  return xs.map((x, i) => () => {
    [curve.exact[i], curve.wide[i]] = find(x).map((kl) => (kl !== null && kl > 10 ** LEAST ? kl : null));
    if (i === xs.length - 1) chart.draw(curve);
  });
}

/** @param {HTMLElement} element */
export function mount(element) {
  new PlaneStep(element);
}
