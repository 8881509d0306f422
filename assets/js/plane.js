// The plane: data, density, field, samples and paths, all at the page's t. What is exact is computed here for every t.

import { constants } from "./constants.js";
import { button, choice, el, setData, shown } from "./dom.js";
import { download } from "./download.js";
import { savePicture } from "./drawing.js";
import { patternOf } from "./learning.js";
import { fromLink, putInLink } from "./link.js";
import { cellsFor, counted, density, epsOnGrid, marginal, placeOn, posteriorAt } from "./mixture.js";
import { PEN, PlaneHand } from "./planehand.js";
import { FOLLOWED, PlaneLayers } from "./planelayers.js";
import { hueOf, Painter } from "./planepaint.js";
import { paintWalk } from "./planewalk.js";
import { Player } from "./player.js";
import { oncePerFrame } from "./scheduling.js";
import { assign, setT, store, subscribe } from "./store.js";
import { TakeAway } from "./takeaway.js";
import { openTrails } from "./trails.js";
import { fillNormal } from "./walk.js";

/** @import { Changes } from "./store.js" */
/** @import { Hue } from "./planepaint.js" */
/** @import { Trails } from "./trails.js" */

/** @typedef {{state: "live", status: string, part: number}} LiveDraw */
/** @typedef {{kernel: number, wasserstein: number}} Far from the data */
/** @typedef {{file: {url: string, path: string}, sampler: string, denoiser: string, title: string, numbers: Far | null}} DrawnRun */
/**
 * @typedef {object} DoneDraw
 * @property {"done"} state
 * @property {string} status
 * @property {string} key
 * @property {string} data the key of the points that they were drawn from
 * @property {DrawnRun[]} runs one, or two from the same noise
 */
/** @typedef {LiveDraw | DoneDraw | {state: "failed" | "opening", status: string}} Drawn */
/** @typedef {{url: string, data: string}} Opening the points that it is of, by their key */
/** @typedef {{value: Drawn | null, opening: Opening, taught: string[]}} PlaneProps taught: patterns that there is a network of */

/** @typedef {{take_away_shown: import("./takeaway.js").AskRun}} PlaneServer */

/** @type {import("./takeaway.js").Form[]} */
const FORMS = [
  ["gif", "GIF", "the samples on their way through p_t, an animation that plays everywhere"],
  ["mp4", "MP4", "the samples on their way through p_t, a film"],
  ["samples", "Samples", "where the samples ended, as a CSV"],
  ["paths", "Paths", "where every sample was in every frame, as a CSV"],
  ["py", "Python", "copy the code that draws the same samples"],
];
const POINTS_FILE = "plane-points.csv"; // as the Python calls it
const ARROWS = 24; // across
const BINS = 48; // of a margin
const WEIGHING = 80; // points that are drawn by their share, at most
const LONGER = 5; // times, arrows of a difference
const USUAL = { eps: 1, score: 6 }; // lengths of vectors that have half an arrow
const SLOW = 24; // seconds of a play-through in slow motion, and of a usual one
const QUICK = 6;
const EMPTY = "Draw here with the pointer: points lie where there is ink.";

class Plane {
  /**
   * @param {HTMLElement} element
   * @param {PlaneProps} props
   * @param {PlaneServer} server
   */
  constructor(element, props, server) {
    this.props = props;
    this.away = new TakeAway(
      (asked) => server.take_away_shown(/** @type {any} */ ({ ...asked, beside: this.beside })),
      () => this.run,
      FORMS,
    );
    this.run = ""; // the path of the run that is shown
    this.beside = ""; // and that of the second
    this.layers = new PlaneLayers(() => {
      this.shareStep();
      this.draw();
    });
    /** @type {Trails[]} */
    this.trails = []; // of one sampler, or two
    /** @type {Hue} */
    this.second = "ddpm"; // the colour of the second of them
    this.watching = false; // a network that learns
    this.ways = 0; // of how many samples they are drawn
    this.trailsOf = ""; // the points that they are of
    /** @type {Drawn | null} */
    this.told = null; // what was said of them
    this.eps = new Float32Array(0);
    this.noised = new Float32Array(0);
    this.shares = new Float64Array(0);
    this.width = 0;
    this.drawn = 0; // how often
    this.tinted = ""; // what the tint, and the field, were made for
    this.fielded = "";
    this.field = new Float64Array(0);
    this.generation = 0;
    this.draw = oncePerFrame(() => this.paint());
    this.canvas = el("canvas", {
      class: "lab-plane-canvas",
      tabindex: 0,
      role: "application",
      "aria-label": "the plane: arrow keys move a followed point, Enter sets it down, Escape takes it away",
    });
    this.painter = new Painter(this.canvas);
    this.plays = new Set(fromLink("play"));
    this.hand = new PlaneHand(this.canvas, this.plays.has("ddpm"), {
      begin: () => this.player.pause(),
      draw: () => this.draw(),
    });
    this.note = el("p", { class: "lab-plane-empty", hidden: true }, EMPTY);
    const transport = el("div", {});
    this.root = el(
      "section",
      { class: "lab-planeview", "data-state": "loading" },
      this.layers.root,
      el("div", { class: "lab-plane-frame" }, this.canvas, this.note, this.hand.tools),
      transport,
    );
    this.player = this.buildPlayer(transport);
    this.root.append(this.buildBar(), this.buildAway(), this.away.notes, this.away.code);
    element.replaceChildren(this.root);
    this.open = shown(this.root, () => {
      if (!this.trailsOf) this.openFirst();
      this.draw();
    });
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      this.draw();
    }).observe(this.canvas);
    subscribe((changes) => this.follow(changes));
    this.shareStep();
    this.follow(new Set(["schedule", "plane", "sketching"])); // what came before the tab was built
  }

  /** @param {HTMLElement} transport */
  buildPlayer(transport) {
    const player = new Player(transport, {
      label: "step t of the plane",
      moved: setT,
      say: (t) => ({ short: `t = ${t}`, spoken: `t ${t} of ${store.schedule?.T ?? 0}` }),
    });
    return player;
  }

  /** How it plays, and what it shows as a picture. */
  buildBar() {
    const ways = choice(
      "play",
      [
        ["back", "to the data"],
        ["on", "into noise"],
      ],
      this.plays.has("on") ? "on" : "back",
      (way) => {
        this.player.pause();
        this.player.backwards = way === "back";
        this.keepPlay("on", way === "on");
      },
    );
    const slow = button("Slow", "four times as slow", () => this.slow(slow), "plane-slow");
    const both = button(
      "DDPM too",
      "beside the way of the ODE, which adds no noise, one of DDPM from the same x_T",
      () => {
        this.hand.alsoWander();
        both.setAttribute("aria-pressed", String(this.hand.wanders));
        this.keepPlay("ddpm", this.hand.wanders);
      },
      "plane-wander",
    );
    this.player.backwards = !this.plays.has("on");
    this.player.seconds = this.plays.has("slow") ? SLOW : QUICK;
    slow.setAttribute("aria-pressed", String(this.plays.has("slow")));
    both.setAttribute("aria-pressed", String(this.hand.wanders));
    return el("div", { class: "lab-bar lab-plane-bar" }, ways, slow, both);
  }

  /** What is shown, its points and its run, as files. */
  buildAway() {
    const save = button(
      "PNG",
      "the plane as it is shown",
      () => savePicture(this.canvas, `plane-t${store.t}.png`),
      "plane-png",
    );
    const points = button("Points", "the points, as a CSV", () => this.savePoints(), "plane-csv");
    this.away.bar.children[0].after(save, points);
    return this.away.bar;
  }

  savePoints() {
    const { points, classes } = store.plane ?? { points: [], classes: [] };
    const rows = Array.from({ length: points.length / 2 }, (_, k) => [
      points[2 * k],
      points[2 * k + 1],
      ...classes.slice(k, k + 1),
    ]);
    download(
      [["x", "y", ...(classes.length ? ["class"] : [])], ...rows].map((row) => `${row}\n`).join(""),
      POINTS_FILE,
    );
  }

  /** @param {HTMLElement} toggle */
  slow(toggle) {
    this.player.pause();
    this.player.seconds = this.player.seconds === SLOW ? QUICK : SLOW;
    const slow = this.player.seconds === SLOW;
    toggle.setAttribute("aria-pressed", String(slow));
    this.keepPlay("slow", slow);
  }

  /**
   * How it plays stays in the link.
   * @param {"on" | "slow" | "ddpm"} word
   * @param {boolean} holds
   */
  keepPlay(word, holds) {
    if (holds) this.plays.add(word);
    else this.plays.delete(word);
    putInLink({ play: [...this.plays] });
  }

  // What is drawn

  /** a, b and the angle whose cosine and sine they are, at t. */
  level() {
    const { signal, noise } = /** @type {import("./schedules.js").Schedule} */ (store.schedule).columns;
    const [a, b] = [signal[store.t], noise[store.t]];
    return { a, b, angle: Math.atan2(b, a) };
  }

  paint() {
    const { painter, layers, width } = this;
    if (!store.schedule || !store.plane || !width || !this.open()) return;
    const { points, key } = store.plane;
    const started = performance.now();
    painter.begin(width);
    if (points.length && layers.has("density")) this.paintDensity();
    painter.axes();
    if (points.length) this.paintFields();
    if (layers.has("data")) painter.dots(points, "data", points.length > 4000 ? 1.3 : 1.7, 0.5);
    if (points.length && layers.has("noised")) this.paintNoised();
    if (this.trailsOf === key) {
      const [first, second] = this.trails;
      this.ways = Math.min(...this.trails.map((trails) => trails.apart(FOLLOWED))); // of both the same, to be compared
      if (second) this.paintSamples(second, this.second);
      if (first) this.paintSamples(first, "xt");
    }
    if (layers.has("made") && store.learned?.key === key && store.learned.samples) {
      painter.dots(store.learned.samples, "panel", 3, 0.9);
      painter.dots(store.learned.samples, "learned", 2.2, 1);
    }
    if (points.length && layers.has("margins")) this.paintMargins();
    if (points.length) this.paintLooked();
    if (layers.has("step") && store.walked?.key === key && this.hand.path.length)
      paintWalk(painter, store.walked, store.t);
    if (store.sketching && this.hand.pointer)
      painter.ring(this.hand.pointer, PEN, store.sketching.erase ? "warn" : "soft");
    this.note.hidden = points.length > 0;
    const ms = (performance.now() - started).toFixed(1);
    setData(this.root, {
      t: store.t,
      data: key,
      state: "ready",
      drawn: ++this.drawn,
      ms,
      pinned: this.hand.path.length ? 1 : 0,
    });
  }

  /** What a layer is made for; it stays until that is another. */
  stamp() {
    const { a } = this.level();
    return `${store.plane?.key} ${a} ${this.painter.hue.xt}`;
  }

  paintDensity() {
    const stamp = this.stamp();
    if (this.tinted !== stamp && store.plane) {
      const { a, b } = this.level();
      this.painter.tint(density(store.plane.mixed, a, b * b, cellsFor(b * b)), "xt");
      this.tinted = stamp;
    }
    this.painter.heatmap();
  }

  /** Arrows: eps, or the score where that is chosen; exact, as it was learnt, and how far the two differ. */
  paintFields() {
    const { layers } = this;
    const { a, b } = this.level();
    if (!b) return; // there is no noise at t = 0 to be asked for
    const kind = layers.has("score") ? "score" : "eps";
    const exact = layers.has(kind) || layers.has("difference") ? this.exactField() : null;
    const show = (/** @type {Float64Array} */ field, /** @type {Hue} */ hue, longer = 1) =>
      this.painter.arrows(kind === "eps" ? field : field.map((v) => -v / b), USUAL[kind] / longer, hue);
    if (exact && layers.has(kind)) show(exact, "pred");
    if (!layers.has("learned") && !layers.has("difference")) return;
    const learned = this.learnedField(2 * Math.log(a / b));
    if (!learned) return;
    if (layers.has("learned")) show(learned, "learned");
    if (exact && layers.has("difference"))
      show(
        learned.map((v, i) => v - exact[i]),
        "warn",
        LONGER,
      );
  }

  /**
   * What a network sees of these points; where there is none yet it is asked for.
   * @param {number} logSnr
   */
  learnedField(logSnr) {
    const { learned, plane, wanted } = store;
    if (plane && learned?.key === plane.key) return learned.field.at(logSnr);
    if (plane && wanted !== plane.key) assign({ wanted: plane.key });
    return null;
  }

  /** eps of the exact denoiser. */
  exactField() {
    const { a, b } = this.level();
    const stamp = this.stamp();
    if (this.fielded !== stamp && store.plane) {
      this.field = epsOnGrid(store.plane.mixed, a, b, ARROWS);
      this.fielded = stamp;
    }
    return this.field;
  }

  /** x_t of every point, with an eps that stays its own. */
  paintNoised() {
    const { points } = /** @type {import("./planedata.js").PlanePoints} */ (store.plane);
    const { a, b } = this.level();
    if (this.eps.length !== points.length) {
      this.eps = new Float32Array(points.length);
      fillNormal(this.eps, 1, 0);
      this.noised = new Float32Array(points.length);
    }
    for (let i = 0; i < points.length; i++) this.noised[i] = a * points[i] + b * this.eps[i];
    this.painter.dots(this.noised, "xt", 1.7, 0.55);
  }

  /**
   * @param {Trails} trails
   * @param {Hue} hue
   */
  paintSamples(trails, hue) {
    const { painter, layers } = this;
    const { angle } = this.level();
    if (layers.has("paths")) {
      for (let k = 0; k < this.ways; k++) {
        painter.line(trails.way(k, Math.PI, angle), hue, { width: 1.2, alpha: 0.6 });
        painter.line(trails.way(k, angle, 0), hue, { width: 0.8, alpha: 0.3 });
      }
    }
    if (!layers.has("samples")) return;
    const now = trails.at(angle);
    painter.dots(now, "panel", 3, 0.9);
    painter.dots(now, hue, 2.2, 1);
  }

  /** x and y alone along two sides of the plane: the samples as bars, p_t as a line. */
  paintMargins() {
    const { mixed, key } = /** @type {import("./planedata.js").PlanePoints} */ (store.plane);
    const { a, b, angle } = this.level();
    const [trails] = this.trailsOf === key && this.layers.has("samples") ? this.trails : [];
    for (const axis of /** @type {const} */ ([0, 1])) {
      const bars = trails ? counted(trails.at(angle), axis, BINS) : null;
      this.painter.margin(marginal(mixed, a, b * b, axis, BINS), bars, axis);
    }
  }

  /** The point that is followed, and the one under the pointer or else that. */
  paintLooked() {
    const { painter } = this;
    const { path, wandered } = this.hand;
    const { hovered, schedule, plane } = store;
    if (!schedule || !plane) return;
    if (path.length && wandered.length) {
      painter.line(
        wandered.flatMap(({ x, y }) => [x, y]),
        "ddpm",
        { width: 1.3, alpha: 0.9 },
      );
      const at = placeOn(wandered, schedule.columns, store.t);
      painter.mark(at.x, at.y, "ddpm", 5);
    }
    if (path.length) {
      const places = path.flatMap(({ x, y }) => [x, y]);
      painter.line(places, "panel", { width: 4.5, alpha: 0.9 });
      painter.line(places, "ddim", { width: 2 });
    }
    if (!hovered) return;
    const { a, b } = this.level();
    const { mixed } = plane;
    if (this.shares.length !== mixed.length / 2) this.shares = new Float64Array(mixed.length / 2);
    const mean = posteriorAt(mixed, a, b * b, hovered.x, hovered.y, this.shares);
    painter.weights(mixed, this.shares, WEIGHING);
    if (!this.layers.has("step") || !hovered.pinned) {
      painter.line([hovered.x, hovered.y, mean.x, mean.y], "panel", { width: 4 });
      painter.line([hovered.x, hovered.y, mean.x, mean.y], "pred", { width: 2 });
    } // else that green would be taken for the step's
    painter.mark(mean.x, mean.y, "pred", 6);
    painter.mark(hovered.x, hovered.y, "xt", hovered.pinned ? 7 : 6);
  }

  // What changes

  /** What a step adds is asked for where it is shown. */
  shareStep() {
    const stepping = this.layers.has("step");
    if (store.stepping !== stepping) assign({ stepping });
  }

  /** @param {Changes} changes */
  follow(changes) {
    const { schedule } = store;
    if (changes.has("sketching")) {
      this.root.classList.toggle("is-sketching", store.sketching !== null);
      this.hand.showTools();
    }
    if (changes.has("learned")) this.showLearned();
    if (!schedule || !["schedule", "t", "plane", "sketching", "learned", "walked"].some((name) => changes.has(name)))
      return;
    if (changes.has("schedule")) this.player.setCount(schedule.T + 1);
    if (changes.has("schedule") || this.player.index !== store.t) this.player.go(store.t);
    if (changes.has("plane") || changes.has("schedule")) this.hand.repin();
    else if (changes.has("t")) this.hand.keepPin();
    if (changes.has("plane")) this.sayStale();
    this.hand.look();
    this.draw();
  }

  /** Samples are of the points that they were drawn from, and of no others. */
  sayStale() {
    const stale = this.trailsOf !== store.plane?.key;
    this.layers.sampled(!stale);
    if (store.drawn?.state !== "live") assign({ drawn: stale ? null : this.told });
    this.sayTaught();
  }

  /** The network that one watches learning comes into sight. */
  showLearned() {
    this.sayTaught();
    if (store.learned?.watched && !this.watching) this.layers.put("made", true);
    this.watching = Boolean(store.learned?.watched);
  }

  /** A network is shown where there is one, or can be. */
  sayTaught() {
    const { learned, plane } = store;
    const here = plane !== null && learned?.key === plane.key;
    const known = plane !== null && this.props.taught.includes(patternOf(plane.key));
    this.layers.taught(here || known, here && learned?.samples !== null);
  }

  /** The run that was made beforehand, of the points that the tab opens with. */
  async openFirst() {
    const { url, data } = this.props.opening;
    this.trailsOf = data;
    const mine = this.generation;
    const answer = await fetch(new URL(url, document.baseURI));
    if (!answer.ok || mine !== this.generation) return;
    const trails = openTrails(await answer.arrayBuffer(), constants().units.eps);
    this.trails = [trails];
    this.run = "opening"; // so the Python calls it
    this.away.ready("");
    this.told = { state: "opening", status: `${trails.count} samples, drawn beforehand.` };
    this.sayStale();
    setData(this.root, { run: "opening" });
    this.draw();
  }

  async sync() {
    const value = this.props.value;
    if (!value) return;
    const mine = ++this.generation;
    if (value.state !== "done") {
      assign({ drawn: value.state === "failed" ? this.told : value });
      return;
    }
    const answers = await Promise.all(value.runs.map(({ file }) => fetch(file.url)));
    if (answers.some(({ ok }) => !ok) || mine !== this.generation) return;
    const buffers = await Promise.all(answers.map((answer) => answer.arrayBuffer()));
    this.trails = buffers.map((buffer) => openTrails(buffer, constants().units.eps));
    this.trailsOf = value.data;
    this.run = value.runs[0].file.path;
    this.beside = value.runs[1]?.file.path ?? "";
    this.away.ready("");
    if (value.runs.length > 1) this.second = hueOf(1, value.runs);
    this.told = value;
    assign({ drawn: value });
    this.sayStale();
    setData(this.root, { run: value.key });
    this.layers.put("samples", true);
    setT(0);
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<PlaneProps, PlaneServer>} view
 */
export function mount(element, { props, watch, server }) {
  const plane = new Plane(element, props, server);
  watch("value", () => plane.sync());
  plane.sync();
}
