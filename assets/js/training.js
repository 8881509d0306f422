// A training run, watched: its samples through all of its history, the nearest images, its loss, and how it stands.
// The run lives on the server without this page: what is new of it is asked for now and then, while it is in sight.

import { Chart } from "./chart.js";
import { constants } from "./constants.js";
import { bringIntoSight, button, el, setData, setText } from "./dom.js";
import { counted } from "./dropped.js";
import { decode } from "./frames.js";
import { putInLink } from "./link.js";
import { fixed } from "./numbers.js";
import { Player } from "./player.js";
import { oneAtATime } from "./scheduling.js";

/** @import { Curves } from "./schedules.js" */
/** @import { Frames, Shape } from "./frames.js" */

const NARROW = 760; // pixels of a page below which panels lie one under another
const EVERY = 1500; // ms between two looks at a run
const SELDOM = 10_000; // ms, at one that rests
const SMOOTHED = 25; // rows of the log that the bold line is the mean of

/** @typedef {{step: number, images: number, data: string, distance: number[], near: number}} SentGrid */
/** @typedef {{step: number, images: number, frames: Frames, distance: number[], near: number}} Grid */
/**
 * What watch_run() of ui/watching.py sends.
 * @typedef {object} News
 * @property {string} run
 * @property {string} state
 * @property {string} sentence
 * @property {number | null} left seconds
 * @property {number} go
 * @property {boolean} alive
 * @property {boolean} anew whether the rows are all there are
 * @property {boolean} kept
 * @property {boolean} saved
 * @property {string} about
 * @property {Shape} shape
 * @property {[number, number][]} rows images and loss
 * @property {number} seen
 * @property {number | null} speed images a second
 * @property {SentGrid[]} frames
 * @property {boolean} more
 * @property {{log_snr: number[], loss: number[]} | null} loss_by_t
 */
/**
 * What bracket_run() sends.
 * @typedef {object} Bracket
 * @property {number[]} log_snr
 * @property {number[]} heart
 * @property {number} heart_mean
 * @property {number[]} [others]
 * @property {number} limit
 * @property {string} what
 */
/** @typedef {{run: string}} OfRun */
/**
 * @typedef {object} TrainingServer
 * @property {(asked: {run: string, go: number, after: number, step: number}) => Promise<News>} watch_run
 * @property {(asked: OfRun) => Promise<Bracket>} bracket_run
 * @property {(asked: OfRun) => Promise<{url: string, name: string}>} take_network
 * @property {(asked: OfRun) => Promise<object>} pause_run_here
 * @property {(asked: OfRun) => Promise<object>} go_on_here
 * @property {(asked: OfRun) => Promise<object>} remove_run_here
 * @property {(asked: {run: string, kept: boolean}) => Promise<object>} keep_run_here
 */
/** @typedef {{value: OfRun | null, figure: PlotlyFigure, narrow: PlotlyFigure, plotly: string}} TrainingProps */

const NOTHING =
  "No run yet: choose images on the left, and press Train. The run then lives on the server: this page may be closed, and its link finds the run again.";
const NEAREST = "the nearest training images";

/**
 * As people say it: "40 s", "12 min".
 * @param {number} seconds
 */
const timeOf = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

/**
 * The mean of each value and those before it.
 * @param {number[]} values
 */
export function smoothed(values) {
  let sum = 0;
  return values.map((value, i) => {
    sum += value - (i >= SMOOTHED ? values[i - SMOOTHED] : 0);
    return sum / Math.min(i + 1, SMOOTHED);
  });
}

/** @param {unknown} error */
const sentenceOf = (error) =>
  (error instanceof Error ? error.message : "") || "The server did not answer; it is asked again.";

/**
 * What a function in Python answered; a refusal, or no answer, as an error.
 * @template T
 * @param {Promise<T & {error?: string}>} asked
 * @returns {Promise<T>}
 */
async function answer(asked) {
  const found = await asked;
  if (!found || found.error) throw new Error(found?.error ?? "");
  return found;
}

class Training {
  /**
   * @param {HTMLElement} element
   * @param {TrainingProps} props
   * @param {TrainingServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.server = server;
    this.run = "";
    /** @type {News | null} */
    this.news = null;
    /** @type {Grid[]} */
    this.grids = [];
    /** @type {[number, number][]} */
    this.rows = [];
    /** @type {Bracket | null} */
    this.bracket = null;
    this.bracketing = false;
    this.lost = false; // whether the last look found no answer
    /** @type {News["loss_by_t"]} */
    this.byLevel = null;
    this.visible = false;
    this.follows = true; // the newest grid, until a hand goes to another
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.status = el("p", { class: "lab-status", role: "status" }, NOTHING);
    this.facts = el("p", { class: "lab-note lab-training-facts" });
    this.problem = el("p", { class: "lab-note lab-training-problem", role: "alert" });
    this.act = this.buildActions();
    const [samples, nearest] = ["samples from fixed seeds", NEAREST].map((label) =>
      el("canvas", { class: "lab-pixels", role: "img", "aria-label": label, width: 134, height: 134 }),
    );
    this.samples = samples;
    this.nearest = nearest;
    const figure = (/** @type {HTMLElement} */ canvas, /** @type {string} */ words) =>
      el("figure", { class: "lab-figure" }, canvas, el("figcaption", {}, words));
    const pair = el(
      "div",
      { class: "lab-trajectory lab-training-pair" },
      figure(samples, "its samples, always from the same noise"),
      figure(nearest, "the training image nearest to each"),
    );
    this.bar = el("div", { class: "lab-meter-bar" });
    this.meter = el(
      "div",
      { class: "lab-meter", role: "meter", "aria-label": "memorising", "aria-valuemin": 0, "aria-valuemax": 16 },
      this.bar,
    );
    this.said = el("p", { class: "lab-note lab-training-near" });
    const transport = el("div", {});
    const numbers = el("div", { class: "lab-training-numbers" });
    this.body = el("div", { hidden: true }, pair, transport, this.meter, this.said, numbers);
    const line = el("div", { class: "lab-statusline" }, this.status);
    const root = { class: "lab-training", "data-state": "empty" };
    this.root = el("section", root, line, this.facts, this.act.bar, this.problem, this.body);
    element.replaceChildren(this.root);
    this.player = new Player(transport, {
      label: "images seen in training",
      show: (i) => this.show(i),
      moved: (i) => {
        this.follows = i === this.grids.length - 1;
      },
      say: (i) => this.say(i),
    });
    const shape = window.innerWidth < NARROW ? props.narrow : props.figure;
    const over = { title: "", of: () => Number.NaN };
    this.chart = new Chart(numbers, shape, props.plotly, "training", { over });
    this.look = oneAtATime(() => this.ask());
    new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      if (this.visible) this.look();
    }).observe(this.root);
    document.addEventListener("visibilitychange", () => !document.hidden && this.look());
  }

  buildActions() {
    const of = () => ({ run: this.run });
    const pause = button("Pause", "what it has learnt is saved", () => this.do("pause_run_here", of()), "run-pause");
    const on = button("Go on", "where it was", () => this.do("go_on_here", of()), "run-go-on");
    const keeping = () => this.do("keep_run_here", { run: this.run, kept: !this.news?.kept });
    const keep = button("Keep", "or it is removed a day after its end", keeping, "run-keep");
    const title = "weights, card, images, and the command that goes on elsewhere, as a zip";
    const take = button("Take away", title, () => this.take(), "run-take");
    const remove = button("Remove", "the run, its images and its network", () => this.remove(), "run-remove");
    const press = () =>
      document.querySelector("#lab-train-draw")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    const draw = button("Draw from it", "in the Reverse tab, with any sampler", press, "run-draw");
    const bar = el("div", { class: "lab-bar lab-training-acts", hidden: true }, pause, on, draw, take, keep, remove);
    return { pause, on, draw, keep, take, remove, bar };
  }

  /**
   * Ask for something, and look what came of it.
   * @param {"pause_run_here" | "go_on_here" | "keep_run_here"} what
   * @param {any} asked
   */
  async do(what, asked) {
    this.problem.textContent = "";
    try {
      await answer(this.server[what](asked));
    } catch (error) {
      this.problem.textContent = sentenceOf(error);
    }
    this.look();
  }

  /** The second press removes. */
  async remove() {
    const { remove } = this.act;
    if (remove.dataset.sure !== "1") {
      setData(remove, { sure: 1 });
      remove.textContent = "Remove for ever?";
      return;
    }
    try {
      await answer(this.server.remove_run_here({ run: this.run }));
    } catch (error) {
      this.problem.textContent = sentenceOf(error);
      return;
    }
    this.forget();
    putInLink({ run: null });
  }

  async take() {
    this.problem.textContent = "";
    try {
      const { url, name } = await answer(this.server.take_network({ run: this.run }));
      el("a", { href: url, download: name }).click();
    } catch (error) {
      this.problem.textContent = sentenceOf(error);
    }
  }

  forget() {
    this.run = "";
    this.news = this.bracket = this.byLevel = null;
    this.grids = [];
    this.rows = [];
    this.follows = true;
    this.body.hidden = this.act.bar.hidden = true;
    this.status.textContent = NOTHING;
    this.facts.textContent = this.problem.textContent = "";
    setData(this.act.remove, { sure: "" });
    this.act.remove.textContent = "Remove";
    setData(this.root, { state: "empty", run: "", grids: 0 });
  }

  sync() {
    const run = this.props.value?.run ?? "";
    if (!run || run === this.run) return;
    this.forget();
    this.run = run;
    this.status.textContent = "Looking for the run …";
    putInLink({ run });
    bringIntoSight(this.root); // where the controls lie above it
    this.look();
  }

  async ask() {
    clearTimeout(this.timer);
    const { run } = this;
    if (!run || !this.visible || document.hidden) return;
    let wait = EVERY;
    try {
      const last = this.rows[this.rows.length - 1];
      const step = this.grids.length ? this.grids[this.grids.length - 1].step : -1;
      const asked = { run, go: this.news?.go ?? 0, after: last ? last[0] : 0, step };
      const news = await answer(this.server.watch_run(asked));
      if (run !== this.run) return;
      if (this.lost) this.problem.textContent = "";
      this.lost = false;
      this.take_in(news);
      wait = news.more ? 0 : news.alive ? EVERY : SELDOM;
    } catch (error) {
      this.lost = true;
      this.problem.textContent = sentenceOf(error);
      wait = SELDOM;
    }
    this.timer = setTimeout(() => this.look(), wait);
  }

  /** @param {News} news */
  take_in(news) {
    this.news = news;
    if (news.anew) this.rows = [];
    this.rows.push(...news.rows);
    for (const { data, ...grid } of news.frames) {
      this.grids.push({ ...grid, frames: decode(data, news.shape, 2, constants().units.gap) });
    }
    this.byLevel = news.loss_by_t ?? this.byLevel;
    this.sayStatus(news);
    this.body.hidden = !this.grids.length;
    if (news.frames.length) {
      const at = this.follows ? this.grids.length - 1 : this.player.index;
      this.player.setCount(this.grids.length);
      this.player.go(at);
      this.root.style.setProperty("--aspect", String(this.grids[0].frames.aspect));
      if (!this.bracket) this.askBracket();
    }
    if (news.rows.length || news.frames.length) this.draw();
    setData(this.root, { state: news.state, run: news.run, grids: this.grids.length, seen: news.seen });
  }

  /** @param {News} news */
  sayStatus({ state, sentence, speed, left, seen, about, alive, kept, saved }) {
    const parts = [sentence];
    if (state === "running" && speed) parts.push(`${fixed(speed, speed < 10 ? 1 : 0)} images a second`);
    if (seen) parts.push(`${counted(seen, "image")} seen`);
    if (left != null) parts.push(`${timeOf(left)} left`);
    setText(this.status, parts.join(" · "));
    setText(this.facts, about);
    const { pause, on, draw, keep, take, bar } = this.act;
    bar.hidden = false;
    pause.hidden = !alive;
    pause.disabled = state === "stopping";
    on.hidden = alive;
    take.disabled = draw.disabled = !saved;
    keep.setAttribute("aria-pressed", String(kept));
    keep.textContent = kept ? "Kept" : "Keep";
  }

  async askBracket() {
    if (this.bracketing) return;
    this.bracketing = true;
    const { run } = this;
    try {
      const bracket = await answer(this.server.bracket_run({ run }));
      if (run !== this.run) return;
      this.bracket = bracket;
      this.draw();
      this.player.go(this.player.index);
    } catch {
      this.bracket = null; // the next grid asks again
    } finally {
      this.bracketing = false;
    }
  }

  draw() {
    const { rows, bracket, byLevel } = this;
    const images = rows.map(([seen]) => seen);
    const loss = rows.map(([, value]) => value);
    const ends = images.length ? [0, images[images.length - 1]] : [];
    const level = (/** @type {number | undefined} */ mean) => (mean == null ? [] : ends.map(() => mean));
    /** @type {Record<string, number[]>} */
    const columns = {
      images,
      loss,
      mean: smoothed(loss),
      ends,
      heart_ends: level(bracket?.heart_mean),
      levels: bracket?.log_snr ?? [],
      heart: bracket?.heart ?? [],
      others: bracket?.others ?? [],
      log_snr: byLevel?.log_snr ?? [],
      by_level: byLevel?.loss ?? [],
    };
    this.chart.update(/** @type {Curves} */ (/** @type {unknown} */ (columns)), true);
  }

  /** @param {number} i */
  show(i) {
    const grid = this.grids[i];
    if (!grid) return;
    grid.frames.paint(this.samples, 0, 0);
    grid.frames.paint(this.nearest, 0, 1);
    const count = grid.distance.length;
    this.bar.style.width = `${(100 * grid.near) / count}%`;
    this.meter.setAttribute("aria-valuenow", String(grid.near));
    this.meter.setAttribute("aria-valuemax", String(count));
    setText(this.said, this.nearness(grid));
    setData(this.root, { grid: i, near: grid.near });
  }

  /** @param {Grid} grid */
  nearness({ near, distance }) {
    const middle = [...distance].sort((a, b) => a - b)[distance.length >> 1];
    const away = `The nearest image is ${fixed(middle, 0)} grey levels away (median).`;
    if (!this.bracket) return away;
    const { limit, what } = this.bracket;
    const scale = what.startsWith("16") ? `nearer than ${what}` : `nearer than 9 in 10 ${what} (${fixed(limit, 0)})`;
    return `Memorising: ${near} of ${distance.length} samples are ${scale}. ${away}`;
  }

  /** @param {number} i */
  say(i) {
    const grid = this.grids[i];
    if (!grid) return { short: "", spoken: "" };
    const text = `${counted(grid.images, "image")} seen`;
    return { short: counted(grid.images, "image"), spoken: `${text}, ${grid.near} samples too near` };
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<TrainingProps, TrainingServer>} view
 */
export function mount(element, { props, watch, server }) {
  const training = new Training(element, props, server);
  watch("value", () => training.sync());
  training.sync();
}
