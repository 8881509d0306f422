// The plane: data, density, field, samples and paths, all at the page's t. What is exact is computed here for every t.

import { constants } from "./constants.js";
import { button, choice, el, setData, shown, worded } from "./dom.js";
import { savePicture } from "./drawing.js";
import { fromLink, putInLink } from "./link.js";
import { cellsFor, density, epsOnGrid, flow, placeOn, posteriorAt, REACH } from "./mixture.js";
import { Painter } from "./planepaint.js";
import { Player } from "./player.js";
import { oncePerFrame } from "./scheduling.js";
import { CELLS, SKETCHED } from "./sketch.js";
import { wander } from "./stepback.js";
import { assign, setT, store, subscribe } from "./store.js";
import { openTrails } from "./trails.js";
import { fillNormal } from "./walk.js";

/** @import { Place } from "./mixture.js" */
/** @import { Changes } from "./store.js" */
/** @import { Hue } from "./planepaint.js" */
/** @import { Trails } from "./trails.js" */

/** @typedef {"data" | "noised" | "density" | "eps" | "score" | "learned" | "difference" | "samples" | "paths"} Layer */
/** @typedef {{state: "live", status: string, part: number}} LiveDraw */
/** @typedef {{kernel: number, wasserstein: number}} Far from the data */
/** @typedef {{file: {url: string}, sampler: string, title: string, numbers: Far | null}} DrawnRun */
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
/** @typedef {{value: Drawn | null, opening: Opening}} PlaneProps */

const ARROWS = 24; // across
const FOLLOWED = 40; // samples whose paths are drawn
const WEIGHING = 80; // points that are drawn by their share, at most
const USUAL = { eps: 1, score: 6 }; // lengths of vectors that have half an arrow
/** @type {Record<string, Layer>} */
const OTHER = { eps: "score", score: "eps" }; // arrows of one field at a time
const SLOW = 24; // seconds of a play-through in slow motion, and of a usual one
const QUICK = 6;
const SEED = 5; // of the noise of a way of DDPM
const PEN = 0.09; // radius of the brush, in the plane
const NEAR = 0.12; // of a pinned point, where a hand takes hold of it
const LEARNED = ["learned", "difference"]; // layers that are there when a network has learnt
const SAMPLED = ["samples", "paths"]; // layers that are there when samples are
/** @type {[number, number]} */
const FIRST = [0.62, 0.86]; // the point that is followed at first
const EMPTY = "Draw here with the pointer: points lie where there is ink.";

/** @type {[Layer, string, string][]} */
const CHIPS = [
  ["data", "data", "the points x_0"],
  ["noised", "x_t", "each point noised to t, x_t = a x_0 + b eps, with an eps of its own"],
  ["density", "density", "p_t, exactly: where x_t is likely to be"],
  ["eps", "ε", "the noise that the exact denoiser sees everywhere, as arrows"],
  ["score", "score", "the gradient of ln p_t, −ε over its deviation: where it is likelier, as arrows"],
  ["learned", "learned", "the same, as a network has learnt it"],
  ["difference", "difference", "what it has learnt less what it should have"],
  ["samples", "samples", "points on their way from noise back to the data"],
  ["paths", "paths", `the ways of up to ${FOLLOWED} samples, which they have come and will go`],
];

class Plane {
  /**
   * @param {HTMLElement} element
   * @param {PlaneProps} props
   */
  constructor(element, props) {
    this.props = props;
    /** @type {Set<string>} */
    this.layers = new Set(fromLink("layers"));
    /** @type {Trails[]} */
    this.trails = []; // of one sampler, or two
    this.second = ""; // the second of them
    this.ways = 0; // of how many samples they are drawn
    this.trailsOf = ""; // the points that they are of
    /** @type {Drawn | null} */
    this.told = null; // what was said of them
    this.eps = new Float32Array(0);
    this.noised = new Float32Array(0);
    this.shares = new Float64Array(0);
    this.width = 0;
    this.drawn = 0; // how often
    this.wanders = false; // whether a way of DDPM is drawn too
    /** @type {Place[]} */
    this.wandered = [];
    this.tinted = ""; // what the tint, and the field, were made for
    this.fielded = "";
    this.field = new Float64Array(0);
    /** @type {Place[]} */
    this.path = []; // of the pinned point
    /** @type {[number, number] | null} */
    this.pinnedAt = null; // where it was set down
    /** @type {[number, number] | null} */
    this.pointer = null; // in the plane, where there is one
    this.dragging = "";
    this.generation = 0;
    this.fresh = true; // nobody has pointed at anything yet
    this.draw = oncePerFrame(() => this.paint());
    this.canvas = el("canvas", {
      class: "lab-plane-canvas",
      tabindex: 0,
      role: "application",
      "aria-label": "the plane: arrow keys move a followed point, Enter sets it down, Escape takes it away",
    });
    this.painter = new Painter(this.canvas);
    this.note = el("p", { class: "lab-plane-empty", hidden: true }, EMPTY);
    this.tools = this.buildTools();
    const transport = el("div", {});
    this.root = el(
      "section",
      { class: "lab-planeview", "data-state": "loading" },
      this.buildChips(),
      el("div", { class: "lab-plane-frame" }, this.canvas, this.note, this.tools),
      transport,
      this.buildBar(),
    );
    element.replaceChildren(this.root);
    this.player = this.buildPlayer(transport);
    this.listen();
    this.open = shown(this.root, () => {
      if (!this.trailsOf) this.openFirst();
      this.draw();
    });
    new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      this.draw();
    }).observe(this.canvas);
    subscribe((changes) => this.follow(changes));
    this.follow(new Set(["schedule", "plane", "sketching"])); // what came before the tab was built
  }

  buildChips() {
    this.chips = CHIPS.map(([name, text, title]) =>
      el(
        "button",
        {
          type: "button",
          class: "lab-chip",
          title,
          "data-layer": name,
          onclick: () => this.switchLayer(name, !this.layers.has(name)),
        },
        el("i", { class: `lab-layer lab-layer-${name}`, "aria-hidden": "true" }),
        el("span", {}, ...worded(text)),
      ),
    );
    this.showLayers();
    return el("div", { class: "lab-chips", role: "group", "aria-label": "layers" }, ...this.chips);
  }

  /** What one draws by hand with; not in sight with a pattern. */
  buildTools() {
    const after = (/** @type {() => void} */ fn) => () => {
      fn();
      store.sketching?.changed(true);
    };
    this.eraser = button("Eraser", "take ink away with the pointer", () => this.erase(), "plane-erase");
    const undo = after(() => store.sketching?.sketch.undo());
    const clear = after(() => store.sketching?.sketch.clear());
    return el(
      "div",
      { class: "lab-plane-tools", hidden: true },
      this.eraser,
      button("Undo", "take the last stroke back", undo, "plane-undo"),
      button("Clear", "take all of it away", clear, "plane-clear"),
    );
  }

  erase() {
    if (store.sketching) assign({ sketching: { ...store.sketching, erase: !store.sketching.erase } });
  }

  showLayers() {
    for (const chip of this.chips ?? []) {
      const layer = chip.dataset.layer ?? "";
      chip.setAttribute("aria-pressed", String(this.layers.has(layer)));
      chip.hidden = LEARNED.includes(layer) && !store.learned;
    }
  }

  /**
   * @param {Layer} name
   * @param {boolean} on
   */
  switchLayer(name, on) {
    if (on) this.layers.add(name);
    else this.layers.delete(name);
    if (on && name in OTHER) this.layers.delete(OTHER[name]);
    this.showLayers();
    putInLink({ layers: CHIPS.map(([layer]) => layer).filter((layer) => this.layers.has(layer)) });
    this.draw();
  }

  /** @param {HTMLElement} transport */
  buildPlayer(transport) {
    const player = new Player(transport, {
      label: "step t of the plane",
      moved: setT,
      say: (t) => ({ short: `t = ${t}`, spoken: `t ${t} of ${store.schedule?.T ?? 0}` }),
    });
    player.backwards = true;
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
      "back",
      (way) => {
        this.player.pause();
        this.player.backwards = way === "back";
      },
    );
    const slow = button("Slow", "four times as slow", () => this.slow(slow), "plane-slow");
    const both = button(
      "DDPM too",
      "beside the way of the ODE, which adds no noise, one of DDPM from the same x_T",
      () => this.alsoWander(both),
      "plane-wander",
    );
    for (const toggle of [slow, both]) toggle.setAttribute("aria-pressed", "false");
    const save = el(
      "button",
      {
        type: "button",
        class: "lab-save",
        "data-do": "plane-png",
        title: "the plane as it is shown",
        onclick: () => savePicture(this.canvas, `plane-t${store.t}.png`),
      },
      "PNG",
    );
    return el("div", { class: "lab-bar lab-plane-bar" }, ways, slow, both, save);
  }

  /** @param {HTMLElement} toggle */
  slow(toggle) {
    this.player.pause();
    this.player.seconds = this.player.seconds === SLOW ? QUICK : SLOW;
    toggle.setAttribute("aria-pressed", String(this.player.seconds === SLOW));
  }

  /** @param {HTMLElement} toggle */
  alsoWander(toggle) {
    this.wanders = !this.wanders;
    toggle.setAttribute("aria-pressed", String(this.wanders));
    const held = this.pinned();
    if (held) this.pin(held.x, held.y);
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
      if (second) this.paintSamples(second, /** @type {Hue} */ (this.second));
      if (first) this.paintSamples(first, "xt");
    }
    if (points.length) this.paintLooked();
    if (store.sketching) this.paintPen();
    this.note.hidden = points.length > 0;
    const ms = (performance.now() - started).toFixed(1);
    setData(this.root, { t: store.t, data: key, state: "ready", drawn: ++this.drawn, ms });
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
    const exact = layers.has(kind) || (store.learned && layers.has("difference")) ? this.exactField() : null;
    const show = (/** @type {Float64Array} */ field, /** @type {Hue} */ hue) =>
      this.painter.arrows(kind === "eps" ? field : field.map((v) => -v / b), USUAL[kind], hue);
    if (exact && layers.has(kind)) show(exact, "pred");
    if (!store.learned) return;
    const learned = store.learned.at(2 * Math.log(a / b));
    if (layers.has("learned")) show(learned, "learned");
    if (exact && layers.has("difference"))
      show(
        learned.map((v, i) => v - exact[i]),
        "warn",
      );
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

  /** The point that is followed, and the one under the pointer or else that. */
  paintLooked() {
    const { painter } = this;
    const { hovered, schedule, plane } = store;
    if (!schedule || !plane) return;
    if (this.path.length && this.wandered.length) {
      painter.line(
        this.wandered.flatMap(({ x, y }) => [x, y]),
        "ddpm",
        { width: 1.3, alpha: 0.9 },
      );
      const at = placeOn(this.wandered, schedule.columns, store.t);
      painter.mark(at.x, at.y, "ddpm", 5);
    }
    if (this.path.length) {
      const places = this.path.flatMap(({ x, y }) => [x, y]);
      painter.line(places, "panel", { width: 4.5, alpha: 0.9 });
      painter.line(places, "ddim", { width: 2 });
    }
    if (!hovered) return;
    const { a, b } = this.level();
    const { mixed } = plane;
    if (this.shares.length !== mixed.length / 2) this.shares = new Float64Array(mixed.length / 2);
    const mean = posteriorAt(mixed, a, b * b, hovered.x, hovered.y, this.shares);
    painter.weights(mixed, this.shares, WEIGHING);
    painter.line([hovered.x, hovered.y, mean.x, mean.y], "panel", { width: 4 });
    painter.line([hovered.x, hovered.y, mean.x, mean.y], "pred", { width: 2 });
    painter.mark(mean.x, mean.y, "pred", 6);
    painter.mark(hovered.x, hovered.y, "xt", hovered.pinned ? 7 : 6);
  }

  /** Where the brush is. */
  paintPen() {
    if (!this.pointer || !store.sketching) return;
    const { context, unit, canvas } = this.painter;
    context.globalAlpha = 1;
    context.strokeStyle = this.painter.hue[store.sketching.erase ? "warn" : "soft"];
    context.lineWidth = 1.5 * unit;
    context.beginPath();
    const radius = (PEN / (2 * REACH)) * canvas.width;
    context.arc(this.painter.x(this.pointer[0]), this.painter.y(this.pointer[1]), radius, 0, 2 * Math.PI);
    context.stroke();
  }

  // What is looked at

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => {
      if (this.dragging === "tap") this.pin(...this.placeOf(event));
      this.up();
    });
    canvas.addEventListener("pointercancel", () => this.up());
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("keydown", (event) => this.key(event));
    // A finger that draws, or takes hold of a point, does not scroll the page.
    const hold = (/** @type {TouchEvent} */ event) => {
      const { clientX, clientY } = event.touches[0];
      if (store.sketching || this.isHeld(this.placeOf({ clientX, clientY }))) event.preventDefault();
    };
    canvas.addEventListener("touchstart", hold, { passive: false });
  }

  /**
   * @param {{clientX: number, clientY: number}} event
   * @returns {[number, number]}
   */
  placeOf({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const part = (/** @type {number} */ v) => 2 * REACH * v - REACH;
    return [part((clientX - box.left) / box.width), -part((clientY - box.top) / box.height)];
  }

  /** @param {[number, number]} place */
  isHeld([x, y]) {
    const held = this.pinned();
    return held !== null && Math.hypot(held.x - x, held.y - y) < NEAR;
  }

  /** Where the followed point is at the page's t. */
  pinned() {
    return this.path.length && store.schedule ? placeOn(this.path, store.schedule.columns, store.t) : null;
  }

  /** @param {PointerEvent} event */
  down(event) {
    const place = this.placeOf(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.player.pause();
    if (store.sketching) {
      this.dragging = "pen";
      this.pointer = place;
      store.sketching.sketch.begin();
      this.ink(place, place);
    } else if (event.pointerType === "touch" && !this.isHeld(place)) {
      this.dragging = "tap"; // or the beginning of a swipe that scrolls the page
    } else {
      this.dragging = "pin";
      this.pin(...place);
    }
  }

  /** @param {PointerEvent} event */
  move(event) {
    const place = this.placeOf(event);
    const before = this.pointer ?? place;
    this.pointer = place;
    if (this.dragging === "pen") this.ink(before, place);
    else if (this.dragging === "pin") this.pin(...place);
    else if (!store.sketching) this.look();
    this.draw();
  }

  /** The link knows where the followed point is at the page's t. */
  keepPin() {
    const held = this.pinned();
    putInLink({ followed: held ? [held.x, held.y].map((v) => Math.round(v * 1000) / 1000) : [] });
  }

  up() {
    if (this.dragging === "pen") store.sketching?.changed(true);
    if (this.dragging === "pin") this.keepPin();
    this.dragging = "";
  }

  leave() {
    if (this.dragging) return;
    this.pointer = null;
    this.look();
    this.draw();
  }

  /**
   * @param {[number, number]} from
   * @param {[number, number]} to
   */
  ink(from, to) {
    if (!store.sketching) return;
    const inside = ([x, y] = to) => Math.max(Math.abs(x), Math.abs(y)) < SKETCHED + (2 * SKETCHED) / CELLS + PEN;
    if (!inside(from) && !inside(to)) return;
    store.sketching.sketch.stroke(from, to, PEN, store.sketching.erase);
    store.sketching.changed(false);
  }

  /**
   * Follow the point that is here at the page's t.
   * @param {number} x
   * @param {number} y
   */
  pin(x, y) {
    if (!store.schedule || !store.plane?.mixed.length) return;
    const inside = (/** @type {number} */ v) => Math.min(REACH, Math.max(-REACH, v));
    const from = { t: store.t, x: inside(x), y: inside(y) };
    this.pinnedAt = [from.x, from.y];
    this.path = flow(store.plane.mixed, store.schedule.columns, from);
    const { columns } = store.schedule;
    this.wandered = this.wanders ? wander(store.plane.mixed, columns, this.path[0], SEED) : [];
    assign({ followed: this.path });
    this.look();
    this.draw();
  }

  /** The same point, of other data or under another schedule; of what the tab opens with one that shows the way. */
  repin() {
    const held = this.path.length > 0;
    this.path = [];
    if (this.fresh && store.plane?.mixed.length && !store.sketching) {
      this.fresh = false;
      const [x, y] = fromLink("followed");
      this.pin(Number.isFinite(x) ? x : FIRST[0], Number.isFinite(y) ? y : FIRST[1]);
    } else if (held && this.pinnedAt) this.pin(...this.pinnedAt);
    if (!this.path.length) assign({ followed: [] });
  }

  unpin() {
    this.path = [];
    assign({ followed: [] });
    this.look();
    this.draw();
  }

  /** What is under the pointer, or else the followed point, is said beside the plane. */
  look() {
    const held = this.pinned();
    const over = this.pointer && !this.dragging && !store.sketching && !(held && this.isHeld(this.pointer));
    if (over && this.pointer) assign({ hovered: { x: this.pointer[0], y: this.pointer[1], pinned: false } });
    else assign({ hovered: held && { x: held.x, y: held.y, pinned: true } });
    setData(this.root, { pinned: held ? 1 : 0 });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const far = event.shiftKey ? 0.2 : 0.04;
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] };
    const held = this.pinned() ?? { x: 0, y: 0 };
    if (event.key in moves) this.pin(held.x + moves[event.key][0], held.y + moves[event.key][1]);
    else if (event.key === "Enter") this.pin(held.x, held.y);
    else if (event.key === "Escape") this.unpin();
    else return;
    event.preventDefault();
    this.keepPin();
  }

  // What changes

  /** @param {Changes} changes */
  follow(changes) {
    const { schedule } = store;
    if (changes.has("sketching")) this.showTools();
    if (changes.has("learned")) this.showLayers();
    if (!schedule || !["schedule", "t", "plane", "sketching", "learned"].some((name) => changes.has(name))) return;
    if (changes.has("schedule")) this.player.setCount(schedule.T + 1);
    if (changes.has("schedule") || this.player.index !== store.t) this.player.go(store.t);
    if (changes.has("plane") || changes.has("schedule")) this.repin();
    else if (changes.has("t")) this.keepPin();
    if (changes.has("plane")) this.sayStale();
    this.look();
    this.draw();
  }

  showTools() {
    this.root.classList.toggle("is-sketching", store.sketching !== null);
    this.tools.hidden = !store.sketching;
    this.eraser?.setAttribute("aria-pressed", String(store.sketching?.erase ?? false));
  }

  /** Samples are of the points that they were drawn from, and of no others. */
  sayStale() {
    const stale = this.trailsOf !== store.plane?.key;
    for (const chip of this.chips ?? []) {
      if (SAMPLED.includes(chip.dataset.layer ?? "")) chip.disabled = stale;
    }
    if (store.drawn?.state !== "live") assign({ drawn: stale ? null : this.told });
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
      assign({ drawn: value });
      return;
    }
    const answers = await Promise.all(value.runs.map(({ file }) => fetch(file.url)));
    if (answers.some(({ ok }) => !ok) || mine !== this.generation) return;
    const buffers = await Promise.all(answers.map((answer) => answer.arrayBuffer()));
    this.trails = buffers.map((buffer) => openTrails(buffer, constants().units.eps));
    this.trailsOf = value.data;
    this.second = value.runs[1]?.sampler ?? "";
    this.told = value;
    assign({ drawn: value });
    this.sayStale();
    setData(this.root, { run: value.key });
    this.switchLayer("samples", true);
    setT(0);
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<PlaneProps>} view
 */
export function mount(element, { props, watch }) {
  const plane = new Plane(element, props);
  watch("value", () => plane.sync());
  plane.sync();
}
