// A Plotly figure that is made once and kept: new data is poured into its traces, the zoom stays, and one cursor at the
// current t runs through all panels. Which column a trace shows stands in its meta: {x: "t", y: "beta"}.

import { coarse, pathThrough, same, steady } from "./axes.js";
import { el, setData, shown } from "./dom.js";
import { dress, read, themed } from "./dress.js";
import { loadPlotly } from "./plotly.js";
import { decibelOf, logSnrOf, stepAtSnr } from "./schedules.js";
import { setT, store, subscribe } from "./store.js";

/** @import { Range } from "./axes.js" */
/** @import { Curves, Schedule } from "./schedules.js" */
/** @import { Changes } from "./store.js" */

const SETTLE = 180; // ms without news after which lines that were only moved are drawn by Plotly again

/** How the lines of pinned schedules are broken. */
const DASHES = ["6px,3px", "2px,2px", "9px,3px,2px,3px", "12px,4px", "4px,2px", "10px,2px,2px,2px,2px,2px"];

/**
 * What curves can be drawn over: a title, where step t lies, and which step lies there; without that neither pointer nor
 * keys move t.
 * @typedef {object} Over
 * @property {string} [title]
 * @property {(t: number, schedule: Schedule) => number} of
 * @property {(x: number, schedule: Schedule) => number} [step]
 */

/** @type {Record<import("./store.js").Axis, Over>} */
export const AXES = {
  t: { title: "t", of: (t) => t, step: (x) => x },
  u: { title: "t/T", of: (t, { T }) => t / T, step: (x, { T }) => x * T },
  log_snr: {
    title: "log SNR (noise grows to the right)",
    of: (t, { columns }) => logSnrOf(columns.snr_db[t]),
    step: (x, schedule) => stepAtSnr(schedule, decibelOf(x)),
  },
};

/**
 * A panel of the figure: its axes, and where it lies within the frame.
 * @typedef {{x: PlotlyAxis, y: PlotlyAxis, left: number, top: number, width: number, height: number}} Panel
 */

/** @typedef {PlotlyTrace & {uid: string, x: (number | null)[], y: (number | null)[]}} DrawnTrace */

/**
 * @param {PlotlyTrace} trace
 * @param {"x" | "y"} letter
 */
const axisOf = (trace, letter) => (trace[`${letter}axis`] ?? letter).replace(letter, `${letter}axis`);

export class Chart {
  /**
   * A figure in `node`, from Python. linked: whether the page's choice of axis and its pins are shown; over: what x is
   * where it is something else; after(): called when the figure was drawn.
   * @param {HTMLElement} node
   * @param {PlotlyFigure} figure
   * @param {string} url
   * @param {string} name
   * @param {{linked?: boolean, over?: Over | null, after?: () => void}} options
   */
  constructor(node, figure, url, name, { linked = false, over = null, after = () => {} } = {}) {
    this.figure = figure;
    this.url = url;
    this.name = name;
    this.linked = linked;
    this.over = over;
    this.after = after;
    this.panels = Object.values(figure.layout.meta ?? {});
    /** @type {Curves | null} */
    this.columns = null;
    /** @type {PlotlyLibrary | null} */
    this.library = null;
    this.made = false;
    this.pending = 0;
    /** @type {{lines: string, ranges: Record<string, Range>}} */
    this.drawn = { lines: "", ranges: {} };
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.settle = undefined;
    const style = `height:${figure.layout.height}px`;
    this.plot = /** @type {PlotlyElement} */ (/** @type {HTMLElement} */ (el("div", { class: "lab-plot", style })));
    this.cursors = el("div", { class: "lab-cursors", "aria-hidden": "true" });
    const attributes = this.axis().step
      ? { tabindex: 0, "aria-label": "curves; arrow keys move the step t" }
      : { "aria-label": "curves" };
    this.frame = el("div", { class: "lab-plot-frame", role: "group", ...attributes }, this.plot, this.cursors);
    node.append(this.frame);
    this.plot.addEventListener("pointermove", (event) => this.point(event));
    this.frame.addEventListener("keydown", (event) => this.key(event));
    subscribe((changes) => this.follow(changes));
    this.open = shown(this.frame, () => this.ask());
    new MutationObserver(() => this.ask()).observe(document.body, { attributeFilter: ["class"] });
  }

  axis() {
    return this.over ?? AXES[this.linked ? store.axis : "t"];
  }

  /**
   * The column that a trace is drawn over.
   * @param {PlotlyTrace} trace
   */
  along({ meta }) {
    return meta.x === "t" && this.linked ? store.axis : meta.x;
  }

  /**
   * Every trace: those of the schedule, then the main ones of each pinned schedule.
   * @param {(name: string) => string} colour
   * @returns {DrawnTrace[]}
   */
  traces(colour) {
    const columns = this.columns ?? {};
    const now = this.figure.data.map((trace, i) => ({
      ...themed(trace, colour),
      uid: `now${i}`,
      x: columns[this.along(trace)] ?? [],
      y: columns[trace.meta.y] ?? [],
      ...(this.linked && trace.meta.y === "beta"
        ? { name: store.schedule?.name, showlegend: store.pins.length > 0 }
        : {}),
      ...(trace.meta.error
        ? { error_y: { ...themed(trace.error_y ?? {}, colour), array: columns[trace.meta.error] } }
        : {}),
    }));
    if (!this.linked) return now;
    const main = this.figure.data.filter((trace) => trace.meta.main);
    const pinned = store.pins.flatMap((pin, k) =>
      main.map((trace, i) => ({
        ...trace,
        uid: `pin${k}x${i}`,
        name: pin.name,
        showlegend: trace.meta.y === "beta",
        x: pin.chart[this.along(trace)],
        y: pin.chart[trace.meta.y],
        line: { ...trace.line, color: colour(`--pin-${pin.colour + 1}`), dash: DASHES[pin.colour], width: 1.8 },
      })),
    );
    return [...now, ...pinned];
  }

  /**
   * The ranges that the axes should have, if they are ours to set: {axis: [from, to]}.
   * @param {DrawnTrace[]} drawing
   */
  ranges(drawing) {
    /** @type {Record<string, Range>} */
    const wanted = {};
    for (const { axis: key, range } of this.panels) {
      const inside = drawing.filter((trace) => (trace.yaxis ?? "y") === key.replace("axis", ""));
      wanted[key] = coarse(
        range,
        inside.flatMap((trace) => trace.y),
      );
      const across = key.replace("y", "x");
      const values = inside.flatMap((trace) => trace.x);
      if (store.axis === "log_snr") {
        const [low, high] = coarse("fives", values);
        wanted[across] = [high, low];
      } else
        wanted[across] = [
          0,
          store.axis === "u" ? 1 : values.reduce((/** @type {number} */ a, b) => Math.max(a, b ?? 0), 1),
        ];
    }
    return wanted;
  }

  /**
   * The layout with these ranges, and the axis that was chosen.
   * @param {Record<string, Range>} wanted
   */
  layout(wanted) {
    const ranged = structuredClone(this.figure.layout);
    for (const [key, range] of Object.entries(wanted)) {
      const axis = /** @type {PlotlyAxis} */ (ranged[key]);
      axis.range = range;
      if (key.startsWith("x") && axis.title) axis.title.text = this.axis().title ?? "";
    }
    return ranged;
  }

  /**
   * Which lines there are: while these stay, they need only be moved.
   * @param {DrawnTrace[]} drawing
   */
  lines(drawing) {
    return [this.linked ? store.axis : "t", ...drawing.map((trace) => trace.uid)].join();
  }

  ask() {
    this.pending ||= requestAnimationFrame(() => this.render());
  }

  async render() {
    this.pending = 0;
    // Plotly measures its box: in a closed tab there is none, and the tab's opening calls again.
    if (!this.columns || !this.open()) return;
    this.library = await loadPlotly(this.url);
    const drawing = this.traces(read);
    const wanted = this.ranges(drawing);
    this.drawn = { lines: this.lines(drawing), ranges: wanted };
    await this.library.react(this.plot, drawing, dress(this.layout(wanted)), {
      responsive: true,
      displaylogo: false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      toImageButtonOptions: { filename: `ddpm-lab-${this.name}`, scale: 2 },
    });
    if (!this.made) {
      this.made = true;
      this.plot.on("plotly_relayout", () => this.finish());
    }
    this.finish();
    setData(this.frame, { state: "ready" });
  }

  /** What lies over the figure follows it. */
  finish() {
    this.cursor();
    this.after();
  }

  /**
   * While a hand drags: the schedule's lines moved where Plotly drew them, a tenth of the work of drawing all anew; only
   * the axes whose range has become another are drawn by Plotly. Says whether it could.
   */
  move() {
    if (!this.made || !this.panels.length || !this.open() || this.pending) return false;
    const moved = this.traces(() => ""); // to ask for colours would cost a look at the style sheet
    if (this.lines(moved) !== this.drawn.lines) return false;
    if (!this.moveAxes(moved)) return false;
    for (const trace of moved.slice(0, this.figure.data.length)) {
      const paths = this.plot.querySelectorAll(`.trace${trace.uid} path.js-line`);
      if (paths.length !== 1) return false;
      const x = this.plot._fullLayout[axisOf(trace, "x")];
      const y = this.plot._fullLayout[axisOf(trace, "y")];
      const path = pathThrough(
        trace.x,
        trace.y,
        (v) => x.d2p(v),
        (v) => y.d2p(v),
      );
      paths[0].setAttribute("d", path);
    }
    clearTimeout(this.settle);
    this.settle = setTimeout(() => this.ask(), SETTLE);
    this.finish();
    return true;
  }

  /**
   * The axes made to fit lines that were moved; says whether they are as we left them.
   * @param {DrawnTrace[]} moved
   */
  moveAxes(moved) {
    const { ranges } = this.drawn;
    const wanted = Object.fromEntries(
      Object.entries(this.ranges(moved)).map(([key, range]) => [key, steady(range, ranges[key])]),
    );
    const left = Object.keys(wanted).filter((key) => !same(wanted[key], ranges[key]));
    if (left.some((key) => !same(this.plot._fullLayout[key].range, ranges[key]))) return false; // zoomed by hand
    if (left.length) {
      this.drawn.ranges = wanted;
      this.library?.relayout(this.plot, Object.fromEntries(left.map((key) => [`${key}.range`, wanted[key]])));
    }
    return true;
  }

  /**
   * Where the panel of a y axis lies.
   * @param {string} key
   * @returns {Panel}
   */
  panelOf(key) {
    const y = this.plot._fullLayout[key];
    const x = this.plot._fullLayout[key.replace("y", "x")];
    return { x, y, left: x._offset, top: y._offset, width: x._length, height: y._length };
  }

  allPanels() {
    return Object.keys(this.plot._fullLayout)
      .filter((key) => /^yaxis\d*$/.test(key))
      .map((key) => this.panelOf(key));
  }

  /**
   * The panel of a curve that the layout's meta names; null before there is one.
   * @param {string} curve
   */
  panel(curve) {
    const named = this.figure.layout.meta?.[curve];
    return this.made && named ? this.panelOf(named.axis) : null;
  }

  /**
   * Where a pointer is in a panel, in pixels from its upper left corner.
   * @param {Panel} panel
   * @param {MouseEvent} event
   */
  within({ left, top }, event) {
    const box = this.plot.getBoundingClientRect();
    return [event.clientX - box.left - left, event.clientY - box.top - top];
  }

  /**
   * Whether a pointer is over a panel.
   * @param {Panel} panel
   * @param {MouseEvent} event
   */
  under(panel, event) {
    const [px, py] = this.within(panel, event);
    return px >= 0 && px <= panel.width && py >= 0 && py <= panel.height;
  }

  /** Draw the cursor where the axis says it now is. */
  cursor() {
    const { schedule } = store;
    if (!this.made || !schedule) return;
    const lines = this.allPanels().map(({ x, left, top, width, height }) => {
      const at = x.d2p(this.axis().of(store.t, schedule));
      return { left: left + at, top, height, inside: at >= 0 && at <= width };
    });
    while (this.cursors.children.length < lines.length) this.cursors.append(el("i"));
    lines.forEach(({ left, top, height, inside }, i) => {
      const { style } = /** @type {HTMLElement} */ (this.cursors.children[i]);
      style.transform = `translate(${left}px, ${top}px)`;
      style.height = `${height}px`;
      style.visibility = inside ? "visible" : "hidden";
    });
    setData(this.frame, { t: store.t });
  }

  /**
   * The cursor follows the pointer through any panel.
   * @param {PointerEvent} event
   */
  point(event) {
    const { schedule } = store;
    const { step } = this.axis();
    if (!this.made || !schedule || !step) return;
    const here = this.allPanels().find((panel) => this.under(panel, event));
    if (here) setT(step(here.x.p2d(this.within(here, event)[0]), schedule));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (!this.axis().step || event.target !== this.frame || (event.key !== "ArrowLeft" && event.key !== "ArrowRight"))
      return;
    setT(store.t + (event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 10 : 1));
    event.preventDefault();
  }

  /** @param {Changes} changes */
  follow(changes) {
    if (this.linked && (changes.has("axis") || changes.has("pins"))) this.ask();
    else this.cursor();
  }

  /**
   * Other numbers; `anew` where more of the figure has changed than they.
   * @param {Curves} columns
   */
  update(columns, anew = false) {
    this.columns = columns;
    if (anew || !this.move()) this.ask();
  }

  /**
   * The figure as a file, on white as paper is, with the axes as they are zoomed.
   * @param {string} format
   */
  async save(format) {
    const { width, height } = this.plot.getBoundingClientRect();
    const zoomed = Object.keys(this.drawn.ranges).map((key) => [key, this.plot._fullLayout[key].range]);
    const layout = dress(this.layout(Object.fromEntries(zoomed)), true);
    const data = this.traces((name) => read(name, true));
    const filename = `ddpm-lab-${this.name}`;
    const scale = format === "png" ? 2 : 1;
    await this.library?.downloadImage({ data, layout }, { format, width, height, scale, filename });
  }
}
