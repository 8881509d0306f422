// The reverse process: previews while it runs, then every frame under the player, all samples or one of them.

import { Chart } from "./chart.js";
import { constants } from "./constants.js";
import { bringIntoSight, el, setData } from "./dom.js";
import { decode, open } from "./frames.js";
import { fixed } from "./numbers.js";
import { Player } from "./player.js";
import { oneAtATime } from "./scheduling.js";
import { setT, store, subscribe } from "./store.js";
import { TakeAway } from "./takeaway.js";
import { fill, tex } from "./tex.js";

/** @import { Frames, Shape } from "./frames.js" */
/** @import { Settings } from "./schedules.js" */
/** @import { Changes } from "./store.js" */
/** @import { TakeAwayServer } from "./takeaway.js" */

const NARROW = 760; // pixels of a page below which panels lie one under another

/** What a frame shows, in the order of its planes; and what a step is made of, with the symbols of its formula. */
const PLANES = [
  { kind: "xt", source: "\\xt", words: "the samples", label: "the samples x_t" },
  { kind: "pred", source: "\\xpred", words: "the end it predicts", label: "the predicted clean images" },
  { kind: "eps", source: "\\epred", words: "noise seen", label: "the predicted noise" },
  { kind: "z", source: "z", words: "noise added", label: "the noise that the step adds" },
];
const ADDED = 3; // the plane that only some samplers have
/** @type {Record<string, string>} */
const TERMS = {
  xt: "\\xt",
  x0: "\\xpred",
  x0_before: "\\xpred'",
  x0_before2: "\\xpred''",
  eps: "\\epred",
  eps_s: "\\epred'",
  z: "z",
};

/** @typedef {{t: number, s: number | null, step: number, terms: Record<string, number>, numbers: Record<string, number>}} RunFrame */
/** @typedef {{state: "live", status: string, step: number, count: number, preview: string, shape: Shape, planes: number}} LiveRun */
/**
 * @typedef {object} DoneRun
 * @property {"done"} state
 * @property {string} status
 * @property {string} note
 * @property {string} key
 * @property {boolean} stopped
 * @property {boolean} [opening] whether the page opens with it
 * @property {number} T
 * @property {number} count steps in all
 * @property {RunFrame[]} frames
 * @property {{url: string, path: string}} file
 */
/** @typedef {LiveRun | DoneRun | {state: "failed", status: string}} Run */
/** @typedef {{value: Run | null, wide: PlotlyFigure, narrow: PlotlyFigure, plotly: string}} ReverseProps */
/**
 * @typedef {TakeAwayServer & {
 *   compare_schedule: (asked: {settings: Settings, network: string | null}) => Promise<string>
 * }} ReverseServer
 */

/**
 * @param {string} text
 * @param {string} name
 * @param {() => void} onclick
 */
const small = (text, name, onclick) =>
  el("button", { type: "button", class: "lab-small", "aria-label": name, title: name, onclick }, text);

/**
 * What the figure draws of a run: every number of its frames.
 * @param {RunFrame[]} frames
 */
const columnsOf = (frames) => ({
  t: frames.map(({ t }) => t),
  ...Object.fromEntries(
    Object.keys(frames[0].numbers).map((name) => [name, frames.map(({ numbers }) => numbers[name])]),
  ),
});

const SMALLEST = 5e-4; // of a factor that is shown with three decimals

/**
 * Which terms the sampler uses: one that is shown as zero in every step is none of its.
 * @param {RunFrame[]} frames
 */
const used = (frames) =>
  Object.keys(TERMS).filter((name) => frames.some(({ terms }) => Math.abs(terms[name] ?? 0) >= SMALLEST));

/**
 * x_s as a sum of these terms.
 * @param {string[]} names
 */
function formulaOf(names) {
  const parts = names.map((name) => `\\num{${name}}\\,${TERMS[name]}`);
  const signed = parts.map((part, i) => (i ? `\\mathbin{\\num{sign_${names[i]}}}${part}` : part));
  return `\\htmlClass{ink-xt}{x_s} = ${signed.join("")}`;
}

/**
 * The numbers of that formula for one frame: all but the first come without their sign, which stands before them.
 * @param {Record<string, number>} terms
 * @param {string[]} names
 */
const numbersOf = (terms, names) =>
  Object.fromEntries(
    names.flatMap((name, i) => [
      [name, fixed(i ? Math.abs(terms[name] ?? 0) : (terms[name] ?? 0), 3)],
      [`sign_${name}`, (terms[name] ?? 0) < 0 ? "−" : "+"],
    ]),
  );

class Reverse {
  /**
   * @param {HTMLElement} element
   * @param {ReverseProps} props
   * @param {ReverseServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    /** @type {Frames | null} */
    this.frames = null; // of the last run that ended
    /** @type {Frames | null} */
    this.live = null; // of the run in progress
    /** @type {string[]} */
    this.used = []; // the terms of its formula
    this.unplaced = false; // a run that came before the page had a schedule, and so a t
    /** @type {DoneRun | null} */
    this.value = null;
    /** @type {number | null} */
    this.only = null; // the sample that is shown alone
    this.generation = 0;
    this.visible = false;
    this.stale = true;
    this.added = new Text(` ${PLANES[ADDED].words}`);
    this.views = PLANES.map(({ kind, label }) => {
      const attributes = { class: `lab-pixels lab-traj-${kind}`, role: "img", "aria-label": label };
      return el("canvas", { ...attributes, width: 128, height: 128 });
    });
    this.figures = PLANES.map(({ kind, source, words }, k) => {
      const caption = el("figcaption", {}, tex(el("span", {}), source), k === ADDED ? this.added : ` ${words}`);
      return el("figure", { class: `lab-figure lab-figure-${kind}` }, this.views[k], caption);
    });
    this.progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "sampling" });
    this.status = el("p", { class: "lab-status", role: "status" }, "Drawing the first samples …");
    this.formula = el("div", { class: "lab-formula" });
    this.which = el("span", { class: "lab-which" });
    this.one = this.buildOne();
    const about = "show one sample alone; a click on it does the same";
    this.toOne = small("Enlarge one", about, () => this.enlarge(0));
    this.away = new TakeAway(
      (asked) => server.take_away(asked),
      () => this.value?.file.path ?? "",
    );
    this.far = el("p", { class: "lab-note lab-far" });
    const transport = el("div", {});
    const numbers = el("div", { class: "lab-numbers" });
    this.root = this.build(transport, numbers);
    element.replaceChildren(this.root);
    for (const view of this.views) view.addEventListener("click", (event) => this.click(view, event));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.visible && this.only != null) this.enlarge(null);
    });
    this.player = this.buildPlayer(transport);
    this.compare = oneAtATime(() => this.askDistance());
    this.watchSight();
    subscribe((changes) => this.follow(changes));
    this.curves = this.buildCurves(numbers);
    this.one.hidden = true;
    this.toOne.hidden = true;
  }

  /**
   * @param {HTMLElement} transport
   * @param {HTMLElement} numbers
   */
  build(transport, numbers) {
    return el(
      "section",
      { class: "lab-reverse", "data-state": "empty" },
      this.formula,
      el("div", { class: "lab-statusline" }, this.status, this.progress, this.one, this.toOne),
      el("div", { class: "lab-trajectory" }, ...this.figures),
      transport,
      numbers,
      this.away.notes,
      this.away.bar,
      this.away.code,
      this.far,
    );
  }

  /** From one sample to the next. */
  buildOne() {
    return el(
      "div",
      { class: "lab-one" },
      small("‹", "the sample before", () => this.enlarge((this.only ?? 0) - 1)),
      this.which,
      small("›", "the next sample", () => this.enlarge((this.only ?? 0) + 1)),
      small("All", "show all samples (Escape)", () => this.enlarge(null)),
    );
  }

  /** @param {HTMLElement} transport */
  buildPlayer(transport) {
    return new Player(transport, {
      label: "step of the reverse process",
      show: (i) => this.show(i),
      // Moving through the frames moves the page's t where both count the same steps, and the other way round.
      moved: (i) => this.value && this.linked() && setT(this.value.frames[i].t),
      say: (i) => {
        if (!this.value) return { short: "", spoken: "" };
        const { t, s, step } = this.value.frames[i];
        const short = s == null ? `t = ${t}` : `t = ${t} → ${s}`;
        return { short, spoken: `t ${t}, ${step} of ${this.value.count} steps taken` };
      },
    });
  }

  /**
   * Drawn when it is first seen; the cursor stands where the player is, be that the page's t or not.
   * @param {HTMLElement} numbers
   */
  buildCurves(numbers) {
    const { props } = this;
    const figure = window.innerWidth < NARROW ? props.narrow : props.wide;
    return new Chart(numbers, figure, props.plotly, "trajectory", {
      over: {
        title: "t",
        of: (t) => this.value?.frames[this.player.index]?.t ?? t,
        step: (x) => (this.linked() ? x : store.t),
      },
    });
  }

  watchSight() {
    new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      this.compare();
    }).observe(this.root);
  }

  /** How far the page's schedule is from the one in training; asked when it is seen. */
  async askDistance() {
    if (!this.stale || !this.visible || !store.schedule) return;
    this.stale = false;
    const { settings } = store.schedule;
    try {
      this.far.textContent = await this.server.compare_schedule({ settings, network: store.network });
    } catch {
      this.far.textContent = ""; // the next schedule asks again
    }
  }

  /** Whether the run and the page count the same steps. */
  linked() {
    return this.value?.T != null && store.schedule != null && this.value.T === store.schedule.T;
  }

  shown() {
    return this.live ?? this.frames;
  }

  /** @param {number} i */
  paint(i) {
    for (const [plane, view] of this.views.entries()) this.shown()?.paint(view, i, plane, this.only);
  }

  /** @param {number} i */
  show(i) {
    if (this.live || !this.frames || !this.value) return;
    const { t, terms } = this.value.frames[i];
    this.paint(i);
    this.curves.cursor();
    fill(this.formula, numbersOf(terms, this.used));
    setData(this.root, { frame: i, t });
  }

  /**
   * Sample k alone, or with null all of them.
   * @param {number | null} k
   */
  enlarge(k) {
    const count = this.shown()?.samples;
    if (!count) return;
    this.only = k == null || count < 2 ? null : (k + count) % count;
    this.one.hidden = this.only == null;
    this.toOne.hidden = this.only != null || count < 2;
    this.which.textContent = this.only == null ? "" : `${this.only + 1} of ${count}`;
    setData(this.root, { only: this.only ?? "" });
    this.paint(this.live ? 0 : this.player.index);
  }

  /**
   * @param {HTMLCanvasElement} view
   * @param {MouseEvent} event
   */
  click(view, event) {
    const shown = this.shown();
    if (!shown) return;
    if (this.only != null) {
      this.enlarge(null);
      return;
    }
    const box = view.getBoundingClientRect();
    const k = shown.at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    if (k != null) this.enlarge(k);
  }

  /**
   * The box of a picture keeps its place whether it holds all samples or one; where no noise is added, that is said.
   * @param {Frames} shown
   */
  fit(shown) {
    this.root.style.setProperty("--aspect", String(shown.aspect));
    const none = shown.planes < PLANES.length;
    this.figures[ADDED].classList.toggle("is-none", none);
    this.added.data = none ? " none here" : ` ${PLANES[ADDED].words}`;
    this.enlarge(this.only != null && this.only < shown.samples ? this.only : null);
  }

  /** @param {Changes} changes */
  follow(changes) {
    if (changes.has("schedule") || changes.has("network")) {
      this.stale = true;
      this.compare();
    }
    if (this.live || !this.value || !this.linked()) return;
    if (this.unplaced) {
      this.unplaced = false;
      this.player.go(this.nearest());
      return;
    }
    if (!changes.has("t") || changes.has("schedule")) return;
    if (this.value.frames[this.player.index].t === store.t) return; // it was the player that moved t
    this.player.go(this.nearest());
  }

  /** The frame nearest to the page's t. */
  nearest() {
    const frames = this.value?.frames ?? [];
    const away = (/** @type {RunFrame} */ { t }) => Math.abs(t - store.t);
    return frames.reduce((best, frame, i) => (away(frame) < away(frames[best]) ? i : best), 0);
  }

  async sync() {
    const next = this.props.value;
    if (!next) return;
    const mine = ++this.generation;
    // Spoken at the end of a run, not ten times a second.
    this.status.setAttribute("aria-live", next.state === "live" ? "off" : "polite");
    this.status.textContent = next.status;
    this.progress.hidden = next.state !== "live";
    if (next.state === "live") this.preview(next);
    else if (next.state === "done") {
      const buffer = await (await fetch(next.file.url)).arrayBuffer();
      if (mine === this.generation) this.finish(next, open(buffer, constants().units.gap));
    } else this.restore();
  }

  /** @param {LiveRun} run */
  preview(run) {
    this.player.pause();
    this.progress.value = run.step / run.count;
    this.live = decode(run.preview, run.shape, run.planes, constants().units.gap);
    this.fit(this.live);
    // Pressed far down among the controls, where they lie below the pictures.
    if (this.root.dataset.state !== "live") bringIntoSight(this.root);
    setData(this.root, { state: "live", previews: Number(this.root.dataset.previews ?? 0) + 1 });
  }

  /**
   * @param {DoneRun} run
   * @param {Frames} frames
   */
  finish(run, frames) {
    this.frames = frames;
    this.live = null;
    this.value = run;
    this.away.ready(run.note);
    this.used = used(run.frames);
    tex(this.formula, formulaOf(this.used));
    this.curves.update(columnsOf(run.frames));
    this.player.setCount(frames.count);
    // What was asked for is looked at as it came out, at t = 0; what the page opens with, where its t is.
    const end = frames.count - 1;
    this.unplaced = run.opening === true && !this.linked();
    const at = run.opening && !this.unplaced ? this.nearest() : end;
    this.player.go(at);
    if (!run.opening && this.linked()) setT(run.frames[end].t); // after the player has left the frames of before
    this.fit(frames);
    this.show(at);
    setData(this.root, { state: run.stopped ? "stopped" : "ready", run: run.key });
  }

  /** After a run that failed, the last good one is still there. */
  restore() {
    this.live = null;
    setData(this.root, { state: this.frames ? "ready" : "empty" });
    if (!this.frames) return;
    this.fit(this.frames);
    this.show(this.player.index);
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<ReverseProps, ReverseServer>} view
 */
export function mount(element, { props, watch, server }) {
  const reverse = new Reverse(element, props, server);
  watch("value", () => reverse.sync());
  reverse.sync();
}
