// The points of the plane: a pattern that Python knows, points drawn by hand, or those of a file; and how many of them.

import { contextOf } from "./canvas.js";
import { constants } from "./constants.js";
import { button, decodePoints, el, setData, setText } from "./dom.js";
import { fromLink, putInLink } from "./link.js";
import { evenly, thinned } from "./mixture.js";
import { oncePerFrame, oneAtATime } from "./scheduling.js";
import { inkToText, pointsIn, Sketch } from "./sketch.js";
import { assign } from "./store.js";

/** @import { Points } from "./mixture.js" */

/** @typedef {{points: string, labels: string, key: string, uploaded?: boolean}} Sent points as they cross, see PlaneData of ui/plane.py */

/**
 * @typedef {object} PlanePoints
 * @property {Points} points all of them
 * @property {number[]} classes of each point; none where they have none
 * @property {Points} mixed those that density and field are made from
 * @property {string} key
 */

/**
 * Points are being drawn by hand.
 * @typedef {object} Sketching
 * @property {Sketch} sketch
 * @property {boolean} erase
 * @property {(done: boolean) => void} changed the sketch has, and maybe stays as it is for a while
 */

/**
 * @typedef {object} Hovered
 * @property {number} x
 * @property {number} y
 * @property {boolean} pinned
 */

/** @typedef {{name: string, title: string, points: number[]}} PatternButton points in hundredths */
/** @typedef {{value: Sent | null, patterns: PatternButton[]}} PlaneDataProps */
/** @typedef {{pattern_points: (asked: {pattern: string, count: number, seed: number}) => Promise<Sent>}} PlaneDataServer */

const THUMB = 40; // pixels of a pattern's picture
const SKETCH = "sketch";
const DECADES = 1000; // positions of the slider of how many

/** @param {Points} points */
function encodePoints(points) {
  const bytes = new Uint8Array(Float32Array.from(points).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/**
 * A small picture of some points, both coordinates within -1 ... 1.
 * @param {number[]} points in hundredths
 */
function thumb(points) {
  const scale = Math.max(2, Math.ceil(window.devicePixelRatio));
  const canvas = el("canvas", { width: THUMB * scale, height: THUMB * scale, "aria-hidden": "true" });
  const context = contextOf(canvas);
  context.fillStyle = "#8a8f98"; // grey, which is read on light and on dark
  for (let i = 0; i < points.length; i += 2) {
    context.beginPath();
    const place = (/** @type {number} */ v) => ((v / 100) * 0.42 + 0.5) * THUMB * scale;
    context.arc(place(points[i]), place(-points[i + 1]), 1.3 * scale, 0, 7);
    context.fill();
  }
  return canvas;
}

class PlaneData {
  /**
   * @param {HTMLElement} element
   * @param {PlaneDataProps} props
   * @param {PlaneDataServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    this.chosen = fromLink("data");
    this.count = fromLink("data_count");
    this.seed = fromLink("data_seed");
    this.sketch = new Sketch(fromLink("sketch"));
    /** @type {Sent | null} */
    this.uploaded = null;
    this.load = oneAtATime(() => this.ask());
    this.redraw = oncePerFrame(() => this.useSketch());
    this.buttons = this.buildButtons();
    this.range = el("input", { type: "range", min: 0, max: DECADES, "aria-label": "number of points" });
    this.range.addEventListener("input", () => this.recount(Math.round(this.most ** (+this.range.value / DECADES))));
    this.readout = el("output", { class: "lab-plane-count" });
    const fresh = button("Fresh", "other points of the same kind", () => this.fresh(), "plane-fresh");
    this.error = el("p", { class: "lab-error", role: "alert" });
    this.root = el(
      "section",
      { class: "lab-planedata", "data-state": "loading" },
      el("div", { class: "lab-patterns", role: "group", "aria-label": "data" }, ...this.buttons),
      el("label", { class: "lab-plane-many" }, el("span", {}, "points"), this.range, this.readout),
      fresh,
      this.error,
    );
    element.replaceChildren(this.root);
    this.choose(this.chosen);
  }

  get most() {
    return constants().limits.plane;
  }

  buildButtons() {
    const pattern = (/** @type {string} */ name, /** @type {string} */ title, /** @type {Node} */ picture) =>
      el(
        "button",
        {
          type: "button",
          class: "lab-pattern",
          title,
          "aria-label": title,
          "data-pattern": name,
          onclick: () => this.choose(name),
        },
        picture,
      );
    const pen = el("span", { class: "lab-pen", "aria-hidden": "true" }, "✎");
    return [
      ...this.props.patterns.map(({ name, title, points }) => pattern(name, title, thumb(points))),
      pattern(SKETCH, "Draw by hand", pen),
    ];
  }

  /** @param {string} name of a pattern, or of what is no pattern */
  choose(name) {
    this.chosen = name;
    if (name !== "file") this.uploaded = null;
    for (const node of this.buttons) node.setAttribute("aria-pressed", String(node.dataset.pattern === name));
    const changed = (/** @type {boolean} */ done) => this.changed(done);
    assign({ sketching: name === SKETCH ? { sketch: this.sketch, erase: false, changed } : null });
    this.show();
  }

  /** @param {number} count */
  recount(count) {
    this.count = Math.min(this.most, Math.max(1, count));
    this.show();
  }

  fresh() {
    this.seed++;
    this.show();
  }

  /** What is chosen becomes the points of the plane. */
  show() {
    setText(this.readout, this.count.toLocaleString("en"));
    const part = Math.log(this.count) / Math.log(this.most);
    this.range.value = String(Math.round(part * DECADES));
    this.range.style.setProperty("--part", String(part));
    this.range.setAttribute("aria-valuetext", `${this.count} points`);
    if (this.chosen === SKETCH) this.redraw();
    else if (this.uploaded) this.useFile(this.uploaded);
    else this.load();
    if (this.chosen !== "file") putInLink({ data: this.chosen }); // a file stays with its owner
    putInLink({ data_count: this.count, data_seed: this.seed });
  }

  /**
   * As many points of a file as are chosen.
   * @param {Sent} file
   */
  useFile({ points, labels, key }) {
    const classes = atob(labels);
    const kept = evenly(classes.length, this.count).map((k) => classes[k]);
    this.use(thinned(decodePoints(points), this.count), btoa(kept.join("")), key);
  }

  /** Points of a pattern, which Python draws. */
  async ask() {
    const { chosen, count, seed } = this;
    try {
      const { points, labels, key } = await this.server.pattern_points({ pattern: chosen, count, seed });
      if (chosen === this.chosen) this.use(decodePoints(points), labels, key);
      setText(this.error, "");
    } catch {
      setText(this.error, "The server did not answer; choose the points again.");
    }
  }

  /** @param {boolean} done */
  changed(done) {
    this.redraw();
    if (done) putInLink({ sketch: inkToText(this.sketch.ink) });
  }

  useSketch() {
    if (this.chosen !== SKETCH) return;
    this.use(pointsIn(this.sketch.ink, this.count, this.seed), "", `sketch-${performance.now()}`);
  }

  /**
   * @param {Points} points
   * @param {string} labels
   * @param {string} key
   */
  use(points, labels, key) {
    this.props.value = { points: encodePoints(points), labels, key };
    const classes = Array.from(atob(labels), (c) => c.charCodeAt(0));
    assign({ plane: { points, classes, mixed: thinned(points, constants().limits.mixed), key } });
    setData(this.root, { state: "ready", key, count: points.length / 2 });
  }

  /** Points of a file, as Python has read them. */
  sync() {
    const value = this.props.value;
    if (!value?.uploaded) return;
    this.uploaded = value;
    this.count = Math.min(this.most, atob(value.points).length / 8);
    this.choose("file");
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<PlaneDataProps, PlaneDataServer>} view
 */
export function mount(element, { props, watch, server }) {
  const data = new PlaneData(element, props, server);
  watch("value", () => data.sync());
}
